//! The paths of a plan's fields.

use std::collections::BTreeMap;

use crate::keys::{Keys, Target};

const MAX_PATH: usize = 32;

/// The keys that lead to the fields, and the fields below each object on the way.
pub(super) fn paths(fields: &[Vec<String>]) -> Result<(Keys, Vec<Vec<u16>>), String> {
    let unused = Target {
        field: fields.len() as u16,
        node: 0,
    };
    let mut below = vec![Vec::new()];
    let mut names: Vec<(u16, String, Target)> = Vec::new();
    let mut known: BTreeMap<(u16, &str), usize> = BTreeMap::new();
    for (field, path) in (0..).zip(fields) {
        if path.is_empty() || path.len() > MAX_PATH {
            return Err(format!("field {field}: a path has 1 to {MAX_PATH} keys"));
        }
        let mut node = 0;
        for (step, name) in path.iter().enumerate() {
            below[usize::from(node)].push(field);
            let at = *known.entry((node, name)).or_insert_with(|| {
                names.push((node, name.clone(), unused));
                names.len() - 1
            });
            let target = &mut names[at].2;
            if step + 1 == path.len() {
                if target.field != unused.field {
                    return Err(format!("field {field} repeats a path"));
                }
                target.field = field;
            } else {
                if target.node == 0 {
                    target.node = new_node(&mut below)?;
                }
                node = target.node;
            }
        }
    }
    Ok((Keys::new(below.len() as u16, &names, unused), below))
}

fn new_node(below: &mut Vec<Vec<u16>>) -> Result<u16, String> {
    let node = u16::try_from(below.len())
        .map_err(|_| "too many objects on the fields' paths".to_string())?;
    below.push(Vec::new());
    Ok(node)
}
