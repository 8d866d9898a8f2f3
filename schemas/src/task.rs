//! The task: the piece of work that both sides of an experiment were given, so that their answers can be compared in pairs.

use crate::attr::Attr;

/// The attribute that names it: of the root, else of the first span by start that has one.
pub const TASK: Attr = Attr::PlimsollTaskId;

/// OpenInference has no attribute for it: there it is a member of `metadata`, which is a JSON object.
pub const TASK_IN_METADATA: [&str; 3] = ["plimsoll.task.id", "task.id", "task_id"];
