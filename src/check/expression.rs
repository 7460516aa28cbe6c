//! `check.success.expression` and `check.rejected.expression`: CEL over `status` and `body`.
//!
//! An administrator writes the expression, the partner writes the body, and the evaluator has no cost limit. So
//! what an expression may be is limited when it is parsed (see [`rules`]), such that evaluating it costs at most
//! about its own length times the length of the body, in time and in memory.

mod rules;

use std::collections::HashMap;
use std::sync::Arc;

use cel::{Context, Env, Program, Value};

use super::stack;

/// The longest expression, in bytes, as in the CRD. Checked again: a stored object may be older than the CRD.
pub const MAX_EXPRESSION: usize = 1024;

/// A compiled expression. Cheap to clone.
#[derive(Clone)]
pub struct Expression {
    env: Arc<Env>,
    program: Arc<Program>,
    reads_body: bool,
}

/// The text is no CEL that can be used here. What is wrong with it is not told: the parser's messages are written
/// for terminals, and a status message has to be one of our own sentences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no CEL expression that can be used here")]
pub struct ExpressionFault;

impl Expression {
    /// Compiles `text`. No other variables than `status` and `body`, no unknown functions. It takes some
    /// milliseconds at most, and blocks for them.
    ///
    /// # Errors
    /// [`ExpressionFault`] when it does not parse or breaks one of [`rules`].
    pub fn parse(text: &str) -> Result<Self, ExpressionFault> {
        if text.len() > MAX_EXPRESSION || !rules::is_shallow(text) {
            return Err(ExpressionFault);
        }
        stack::run_blocking(|| {
            let env = Env::stdlib().with_optional_support(false);
            let program = env.compile(text).map_err(|_| ExpressionFault)?;
            let reads_body = rules::judge(program.expression())?;
            Ok(Self { env: Arc::new(env), program: Arc::new(program), reads_body })
        })
        .unwrap_or(Err(ExpressionFault))
    }

    /// Whether it mentions `body`: only then is a body needed, and only then is one read.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.reads_body
    }

    /// Whether it is true of this answer. `body` is `None` when there is none, or none that is JSON.
    ///
    /// False also when evaluating fails or gives anything but a boolean, and when it needs a body and there is
    /// none (section 6). It may take a while and it recurses: only within [`stack::DeepThreads`].
    pub(super) fn holds(&self, status: u16, body: Option<&serde_json::Value>) -> bool {
        let mut context = Context::with_env(Arc::clone(&self.env));
        context.add_variable_from_value("status", i64::from(status));
        if self.reads_body {
            let Some(body) = body else { return false };
            context.add_variable_from_value("body", to_cel(body));
        }
        matches!(self.program.execute(&context), Ok(Value::Bool(true)))
    }
}

/// JSON as people expect to compare it: whole numbers are integers, so that `body.count == 1` holds.
fn to_cel(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(int), _, _) => Value::Int(int),
            (_, Some(uint), _) => Value::UInt(uint),
            (_, _, Some(float)) => Value::Float(float),
            (None, None, None) => Value::Null,
        },
        serde_json::Value::String(text) => Value::String(Arc::new(text.clone())),
        serde_json::Value::Array(items) => Value::List(Arc::new(items.iter().map(to_cel).collect())),
        serde_json::Value::Object(fields) => {
            Value::from(fields.iter().map(|(key, value)| (key.clone(), to_cel(value))).collect::<HashMap<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests;
