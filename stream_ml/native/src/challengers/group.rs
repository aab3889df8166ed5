//! Up to eight challengers that are learned side by side: their rows share cache lines, their arithmetic vectors.

use crate::bucket::prefetch;
use crate::challengers::figures::LaneSums;
use crate::challengers::histograms::Histogram;
use crate::challengers::lines::{Line, Lines};
use crate::challengers::settings::Settings;
use crate::challengers::work::{Act, Op, Work};
use crate::loss;
use crate::math;
use crate::optimizer::{Lanes, Optimizers, of_each};
use crate::options::{LearnerOptions, Loss};
use crate::rows::{LANES, Row};
use crate::score_state::ScoreState;
#[cfg(target_arch = "x86_64")]
use crate::wide;

/// Lines of this many examples ahead are on their way from memory.
const PREFETCH_EXAMPLES: usize = 4;

pub struct Group {
    optimizers: Optimizers,
    bias_optimizers: Optimizers,
    loss: Loss,
    options: Vec<LearnerOptions>,
    /// By slot 1 for each lane that has it, else 0; empty where all have all.
    masks: Vec<Lanes>,
    /// By lane, the first example that it learns.
    from: [u64; LANES],
    /// From this example on all do.
    all_from: u64,
    lines: Lines,
    /// Bias of each lane; `states` have base and counts, and the bias only when asked.
    bias: Line,
    base: Lanes,
    states: [ScoreState; LANES],
    /// All base rates are known or frozen.
    frozen: bool,
    root: Vec<Lanes>,
    w: Vec<Lanes>,
    pub sums: LaneSums,
}

impl Group {
    /// `settings`: of one to eight challengers, of one loss and optimizer.
    pub fn new(settings: &[Settings], slots: usize, most_rows: usize) -> std::io::Result<Group> {
        let options: Vec<_> = settings.iter().map(|one| one.options.clone()).collect();
        let lane = |lane: usize| &settings[lane.min(settings.len() - 1)];
        let optimizers = Optimizers::new(&options);
        let states: [_; LANES] = std::array::from_fn(|at| ScoreState::new(&lane(at).options));
        let from = of_each(|at| lane(at).from);
        Ok(Group {
            bias_optimizers: optimizers.of_bias(),
            optimizers,
            loss: options[0].loss,
            options,
            masks: masks(settings, slots),
            all_from: from.into_iter().fold(0, u64::max),
            from,
            lines: Lines::new(most_rows + 1)?,
            bias: [[0.0; LANES]; 2],
            base: of_each(|at| states[at].base),
            states,
            frozen: false,
            root: Vec::new(),
            w: Vec::new(),
            sums: LaneSums::default(),
        })
    }

    pub fn challengers(&self) -> usize {
        self.options.len()
    }

    /// How many rows there may be.
    pub fn room(&self) -> usize {
        self.lines.room() - 1
    }

    pub fn row(&self, line: usize, lane: usize) -> Row {
        let [z, n] = self.lines.all()[line];
        Row {
            z: z[lane],
            n: n[lane],
        }
    }

    pub fn put_row(&mut self, line: usize, lane: usize, row: Row) {
        let [z, n] = &mut self.lines.all_mut()[line];
        (z[lane], n[lane]) = (row.z, row.n);
    }

    /// How a challenger is calibrated; None where scores are no log-odds.
    pub fn histogram(&self, lane: usize) -> Option<Histogram> {
        (self.loss == Loss::Logistic).then(|| self.sums.histograms.of(lane))
    }

    pub fn options(&self, lane: usize) -> &LearnerOptions {
        &self.options[lane]
    }

    /// What a score of the lane needs that is not a row.
    pub fn score_state(&self, lane: usize, watermark_us: i64) -> ScoreState {
        let mut state = self.states[lane].clone();
        state.bias = Row {
            z: self.bias[0][lane],
            n: self.bias[1][lane],
        };
        state.watermark_us = watermark_us;
        state
    }

    pub fn set_score_state(&mut self, lane: usize, state: ScoreState) {
        (self.bias[0][lane], self.bias[1][lane]) = (state.bias.z, state.bias.n);
        self.base[lane] = state.base;
        self.states[lane] = state;
        self.frozen = false;
    }

    /// Compiled twice, for wider vectors where the processor has them; the bits are the same.
    pub fn learn(&mut self, work: &Work) {
        #[cfg(target_arch = "x86_64")]
        if wide::wide() {
            // SAFETY: the processor has what the function is compiled for.
            return unsafe { self.learn_wide(work) };
        }
        self.learn_in_order(work);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn learn_wide(&mut self, work: &Work) {
        self.learn_in_order(work);
    }

    #[inline(always)]
    fn learn_in_order(&mut self, work: &Work) {
        for op in work.ops.iter().take(PREFETCH_EXAMPLES) {
            self.prefetch(work, op);
        }
        for (at, op) in work.ops.iter().enumerate() {
            if let Some(later) = work.ops.get(at + PREFETCH_EXAMPLES) {
                self.prefetch(work, later);
            }
            self.learn_example(work, op);
        }
    }

    #[inline(always)]
    fn prefetch(&self, work: &Work, op: &Op) {
        let first = self.lines.all().as_ptr();
        for &line in &work.lines[op.first as usize..op.end as usize] {
            prefetch(first.wrapping_add(line as usize).cast());
        }
    }

    #[inline(always)]
    fn learn_example(&mut self, work: &Work, op: &Op) {
        let scores = self.score(work, op);
        let predictions = match self.loss {
            Loss::Logistic => of_each(|lane| math::sigmoid_near(f64::from(scores[lane])) as f32),
            other => of_each(|lane| other.prediction(scores[lane])),
        };
        if op.act != Act::Learn {
            self.sums.add(self.loss, &scores, &predictions, op);
            if op.closes {
                self.sums.close();
            }
        }
        if op.act != Act::Judge {
            let slopes = of_each(|lane| op.importance * (predictions[lane] - op.label));
            if op.number >= self.all_from {
                self.update(work, op, &slopes, |_, new| new);
            } else {
                let stands = self.from.map(|from| op.number < from);
                self.update(work, op, &slopes, |old, new| kept(&stands, old, new));
            }
            if !self.frozen {
                self.count(op);
            }
        }
    }

    /// The scores; roots and weights of the example's rows stay in the columns. Sums are those of `optimizer::dot`.
    #[inline(always)]
    fn score(&mut self, work: &Work, op: &Op) -> Lanes {
        let features = op.first as usize..op.end as usize;
        if self.w.len() < features.len() {
            self.w.resize(features.len(), [0.0; LANES]);
            self.root.resize(features.len(), [0.0; LANES]);
        }
        let mut sums = [[0.0f32; LANES]; LANES];
        let (eights, rest) = work.lines[features.clone()].as_chunks::<LANES>();
        let mut first = features.start;
        let mut columns = 0;
        for lines in eights {
            // Written out, so that the sums stay in registers.
            self.add_feature(work, first, columns, lines[0], &mut sums[0]);
            self.add_feature(work, first + 1, columns + 1, lines[1], &mut sums[1]);
            self.add_feature(work, first + 2, columns + 2, lines[2], &mut sums[2]);
            self.add_feature(work, first + 3, columns + 3, lines[3], &mut sums[3]);
            self.add_feature(work, first + 4, columns + 4, lines[4], &mut sums[4]);
            self.add_feature(work, first + 5, columns + 5, lines[5], &mut sums[5]);
            self.add_feature(work, first + 6, columns + 6, lines[6], &mut sums[6]);
            self.add_feature(work, first + 7, columns + 7, lines[7], &mut sums[7]);
            first += LANES;
            columns += LANES;
        }
        for (at, &line) in rest.iter().enumerate() {
            self.add_feature(work, first + at, columns + at, line, &mut sums[at]);
        }
        let [a, b, c, d, e, f, g, h] = sums;
        let bias = self.bias_weights();
        of_each(|at| {
            let dot = ((a[at] + e[at]) + (c[at] + g[at])) + ((b[at] + f[at]) + (d[at] + h[at]));
            loss::bounded((self.base[at] + bias[at]) + dot)
        })
    }

    /// Add what a feature gives to the scores; note its roots and weights at `index` of the columns.
    #[inline(always)]
    fn add_feature(
        &mut self,
        work: &Work,
        feature: usize,
        index: usize,
        line: u32,
        sum: &mut Lanes,
    ) {
        let [z, n] = self.lines.all()[line as usize];
        let root = of_each(|lane| n[lane].sqrt());
        let w = self.optimizers.weights(&z, &root);
        let x = x_of(&self.masks, work, feature);
        for lane in 0..LANES {
            sum[lane] += w[lane] * x[lane];
        }
        (self.w[index], self.root[index]) = (w, root);
    }

    #[inline(always)]
    fn bias_weights(&self) -> Lanes {
        let [z, n] = &self.bias;
        self.bias_optimizers.weights(z, &n.map(f32::sqrt))
    }

    /// Rows and biases after the gradients; `choose` between a line as it was and as it would be.
    #[inline(always)]
    fn update(
        &mut self,
        work: &Work,
        op: &Op,
        slopes: &Lanes,
        choose: impl Fn(&Line, Line) -> Line,
    ) {
        let lines = self.lines.all_mut();
        let features = op.first as usize..op.end as usize;
        for (feature, (w, root)) in features.zip(self.w.iter().zip(&self.root)) {
            let line = &mut lines[work.lines[feature] as usize];
            let x = x_of(&self.masks, work, feature);
            let new = self.optimizers.step(slopes, &x, w, root, line);
            *line = choose(line, new);
        }
        if op.outside {
            lines[0] = [[0.0; LANES]; 2];
        }
        let (w, root) = (self.bias_weights(), self.bias[1].map(f32::sqrt));
        let ones = [1.0; LANES];
        let new = self
            .bias_optimizers
            .step(slopes, &ones, &w, &root, &self.bias);
        self.bias = choose(&self.bias, new);
    }

    /// Count the example into the base rates that are still measured.
    #[cold]
    fn count(&mut self, op: &Op) {
        self.frozen = true;
        for lane in 0..self.options.len() {
            let state = &mut self.states[lane];
            if op.number >= self.from[lane] {
                state.count(&self.options[lane], op.label, op.importance);
                self.base[lane] = state.base;
            }
            self.frozen &= state.is_frozen(&self.options[lane]);
        }
    }
}

/// x of a feature in each lane: 0 where the lane has no such slot.
#[inline(always)]
fn x_of(masks: &[Lanes], work: &Work, feature: usize) -> Lanes {
    let x = work.values[feature];
    if masks.is_empty() {
        return [x; LANES];
    }
    let mask = &masks[usize::from(work.slots[feature])];
    of_each(|lane| mask[lane] * x)
}

fn masks(settings: &[Settings], slots: usize) -> Vec<Lanes> {
    if settings.iter().all(|one| one.slots.is_none()) {
        return Vec::new();
    }
    let has = |lane: usize, slot: usize| {
        settings
            .get(lane)
            .is_some_and(|one| one.slots.as_ref().is_none_or(|slots| slots[slot]))
    };
    (0..slots)
        .map(|slot| of_each(|lane| f32::from(u8::from(has(lane, slot)))))
        .collect()
}

/// The line, of which the lanes that stand still stay.
fn kept(stands: &[bool; LANES], old: &Line, new: Line) -> Line {
    let choose =
        |old: &Lanes, new: &Lanes| of_each(|lane| if stands[lane] { old[lane] } else { new[lane] });
    [choose(&old[0], &new[0]), choose(&old[1], &new[1])]
}
