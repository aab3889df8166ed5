/**
 * The predictor's service: scores for raw events, computed from weights that are being learned meanwhile.
 *
 * Transport: framed. Protocol: binary, strict or not. Calls of one connection are answered in order, so they may be
 * pipelined. Format version 1: fields are only ever added, as optional ones; ids are never used again.
 */
namespace py stream_ml.predictor
namespace rs stream_ml.predictor

/** How to score; every field may be left out. */
struct ScoreOptions {
  /** Name of the model; may be left out where the predictor serves one. */
  1: optional string model,
  /** Whether to return `Score.uncertainty`. */
  2: optional bool uncertainty = false,
  /** Whether to return `Score.contributions`. */
  3: optional bool contributions = false,
  /** Refuse with `StaleWeights` when `weights_age_seconds` is more than this. */
  4: optional double max_weights_age_seconds,
  /** Returned as it is, so that a caller finds the response in its own logs; at most 256 bytes. */
  5: optional string correlation_id,
}

/** What one named feature of the model file adds to the log-odds. */
struct Contribution {
  /** Name of the feature in the model file; "bias" for the share that belongs to no feature. */
  1: required string slot,
  /** The share; the contributions of an event sum to its `Score.log_odds`. */
  2: required double log_odds,
}

/** Why one event has no score; the other events of the call are not touched by it. */
struct EventError {
  /** A code of a bounded set: invalid_json, invalid_utf8, too_deep, too_large, wrong_type, out_of_range. */
  1: required string reason,
  /** What was found and where, for people. */
  2: required string detail,
}

/** What became of one event: either `prediction` and `log_odds` are there, or `error` is. */
struct Score {
  /** The probability of the label for a logistic model; the expected label for the others. */
  1: optional double prediction,
  /** The linear score before the link function: log-odds of a logistic model, log-mean of a poisson model. */
  2: optional double log_odds,
  /**
   * How far one more example like this could move the log-odds: sum over the features of
   * |x| * alpha / (beta + sqrt(n)), each feature's own learning rate (McMahan et al. 2013, section 6).
   * Features never seen count alpha / beta.
   */
  3: optional double uncertainty,
  /** One entry a feature of the model that the event has, in the order of the model file, then "bias". */
  4: optional list<Contribution> contributions,
  /** Why there is no score. */
  5: optional EventError error,
}

/** The scores of one call and what they were computed from; all events of a call are scored by one variant. */
struct ScoreResponse {
  /** One entry an event, in the order given. */
  1: required list<Score> scores,
  /** Name of the model. */
  2: required string model,
  /** Id of the variant that served. */
  3: required string variant,
  /** Fingerprint of the variant's feature plan, 32 hex digits. */
  4: required string fingerprint,
  /** Number of the last batch whose rows are all in the scores. */
  5: required i64 step,
  /** Highest event time learned up to that step, microseconds since 1970; absent before there is one. */
  6: optional i64 watermark_us,
  /**
   * Seconds since the served rows were the newest there are: since they were learned, or since the learner last said that
   * there is nothing newer (its `heartbeat_interval_seconds`, half a second, while no events come).
   */
  7: required double weights_age_seconds,
  /** Whether the predictor has lost touch with the feed and serves the last good weights meanwhile. */
  8: required bool stale,
  /** `ScoreOptions.correlation_id`, as it came. */
  9: optional string correlation_id,
}

/** One model that the predictor serves or waits for. */
struct ModelStatus {
  /** Name of the model. */
  1: required string model,
  /** Whether it answers; the fields below are only there if it does. */
  2: required bool ready,
  /** Id of the variant that serves. */
  3: optional string variant,
  /** Fingerprint of its feature plan, 32 hex digits. */
  4: optional string fingerprint,
  /** Number of the last batch applied. */
  5: optional i64 step,
  /** Highest event time learned up to that step, microseconds since 1970; absent before there is one. */
  6: optional i64 watermark_us,
  /** Seconds since the served rows were the newest there are. */
  7: optional double weights_age_seconds,
  /** Whether the predictor has lost touch with the feed. */
  8: optional bool stale,
  /** Rows held. */
  9: optional i64 rows,
}

/** The predictor as a whole. */
struct Status {
  /** Version of the package. */
  1: required string version,
  /** Seconds since the front was opened. */
  2: required double uptime_seconds,
  /** Connections open now. */
  3: required i32 connections,
  /** Whether the predictor is about to stop: it answers what it has and takes nothing new. */
  4: required bool draining,
  /** The models, by name. */
  5: required list<ModelStatus> models,
}

/** The model is known but nothing of it can be served yet: no good snapshot, or nothing learned. Ask again, or another. */
exception NoModelYet {
  /** What is missing, for people. */
  1: required string message,
}

/** No such model here; asking again does not help. */
exception UnknownModel {
  /** What was asked for, for people. */
  1: required string message,
  /** The names that would have been answered. */
  2: required list<string> models,
}

/** The weights are older than `ScoreOptions.max_weights_age_seconds`; another predictor may do better. */
exception StaleWeights {
  /** The two ages, for people. */
  1: required string message,
  /** Seconds since the served rows were the newest there are. */
  2: required double weights_age_seconds,
}

/** The call breaks a limit or lacks what it needs; asking again does not help. */
exception BadRequest {
  /** What is wrong, and the limit, for people. */
  1: required string message,
}

/** The predictor sheds load before it works on it; ask another one, or this one later. */
exception Overloaded {
  /** What is short, for people. */
  1: required string message,
  /** Seconds to wait before asking this predictor again. */
  2: required double retry_after_seconds,
}

service Predictor {
  /** Score events, each one JSON object as a producer would push it. A bad event fails alone. */
  ScoreResponse score(
    /** The events; UTF-8 JSON, one object each. */
    1: list<binary> events,
    /** How to score them. */
    2: ScoreOptions options,
  ) throws (
    1: NoModelYet no_model_yet,
    2: UnknownModel unknown_model,
    3: StaleWeights stale_weights,
    4: BadRequest bad_request,
    5: Overloaded overloaded,
  ),

  /** Return what the predictor is doing; answers also while it is overloaded or has no model. */
  Status status(),

  /** Return the models that are served or waited for, by name. */
  list<ModelStatus> models(),
}
