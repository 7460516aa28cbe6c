//! What an expression may be, so that no answer can make evaluating it expensive.
//!
//! 1. Only the variables `status` and `body`, those that a macro binds, and the standard functions.
//! 2. No macro (`all`, `exists`, `exists_one`, `filter`, `map`) inside what another one does for each element.
//!    One after the other (`body.items.filter(i, i.on).all(i, i.ok)`) is fine.
//! 3. Inside a macro only the element and `status`, so each element is looked at a fixed number of times. To reach
//!    the values of a map, `body.parts.all(k, body.parts[k].ok)` is allowed: what the macro runs over, indexed by
//!    the element.
//! 4. `map` picks a part of each element and computes nothing, so a list cannot grow beyond the body.
//! 5. `matches` not inside a macro, since the evaluator compiles the pattern at each use; and the pattern is a
//!    literal, and small once compiled: one out of the body would be the partner's own program.
//! 6. `body` at most 16 times, and no deep nesting: both parser and evaluator recurse.

use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};

use super::ExpressionFault;

const MAX_NESTING: usize = 16;
const MAX_BODY_MENTIONS: usize = 16;
/// The operands of one chain, e.g. of `a && b && c`: each is a level of recursion in the evaluator.
const MAX_DEPTH: usize = 100;
/// Of a compiled pattern, in bytes. Unicode classes such as `\w` take some 10 KiB each.
const MAX_PATTERN: usize = 64 * 1024;

const OPERATORS: [&str; 18] = [
    operators::CONDITIONAL,
    operators::LOGICAL_AND,
    operators::LOGICAL_OR,
    operators::LOGICAL_NOT,
    operators::SUBSTRACT,
    operators::ADD,
    operators::MULTIPLY,
    operators::DIVIDE,
    operators::MODULO,
    operators::EQUALS,
    operators::NOT_EQUALS,
    operators::GREATER_EQUALS,
    operators::LESS_EQUALS,
    operators::GREATER,
    operators::LESS,
    operators::NEGATE,
    operators::INDEX,
    operators::IN,
];
/// Made by the expansion of macros; nobody can write it.
const INTERNAL: &str = operators::NOT_STRICTLY_FALSE;
const FUNCTIONS: [&str; 13] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "dyn",
    "type",
];
const TYPES: [&str; 10] = ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];

/// Whether the text is shallow enough to be given to the parser, which recurses without a limit of its own.
pub(super) fn is_shallow(text: &str) -> bool {
    let (mut depth, mut run, mut choices) = (0_usize, 0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'?' => choices += 1,
            _ => {}
        }
        run = match byte {
            b'!' | b'-' => run + 1,
            b' ' | b'\t' | b'\n' | b'\r' => run,
            _ => 0,
        };
        if depth > MAX_NESTING || run > MAX_NESTING || choices > MAX_NESTING {
            return false;
        }
    }
    true
}

/// Applies the rules; tells whether the expression mentions `body`.
pub(super) fn judge(expression: &IdedExpr) -> Result<bool, ExpressionFault> {
    let mut walk = Walk { mentions: 0, depth: 0 };
    walk.visit(expression, None)?;
    Ok(walk.mentions > 0)
}

struct Walk {
    mentions: usize,
    depth: usize,
}

/// The macro that an expression stands in.
#[derive(Clone, Copy)]
struct Scope<'a> {
    comprehension: &'a ComprehensionExpr,
}

impl Walk {
    fn visit(&mut self, expression: &IdedExpr, scope: Option<Scope<'_>>) -> Result<(), ExpressionFault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ExpressionFault);
        }
        match &expression.expr {
            Expr::Unspecified | Expr::Struct(_) => return Err(ExpressionFault),
            Expr::Literal(_) => {}
            Expr::Ident(name) => self.variable(name, scope)?,
            Expr::Select(select) => self.visit(&select.operand, scope)?,
            Expr::List(list) => list.elements.iter().try_for_each(|item| self.visit(item, scope))?,
            Expr::Map(map) => {
                for entry in &map.entries {
                    match &entry.expr {
                        EntryExpr::MapEntry(entry) => {
                            self.visit(&entry.key, scope)?;
                            self.visit(&entry.value, scope)?;
                        }
                        EntryExpr::StructField(_) => return Err(ExpressionFault),
                    }
                }
            }
            Expr::Call(call) => self.call(call, scope)?,
            Expr::Comprehension(comprehension) => self.comprehension(comprehension, scope)?,
        }
        self.depth -= 1;
        Ok(())
    }

    fn variable(&mut self, name: &str, scope: Option<Scope<'_>>) -> Result<(), ExpressionFault> {
        let known = match scope {
            _ if name == "status" || TYPES.contains(&name) => true,
            None if name == "body" => {
                self.mentions += 1;
                self.mentions <= MAX_BODY_MENTIONS
            }
            None => false,
            Some(scope) => name == scope.comprehension.iter_var || name == scope.comprehension.accu_var,
        };
        if known { Ok(()) } else { Err(ExpressionFault) }
    }

    fn call(&mut self, call: &CallExpr, scope: Option<Scope<'_>>) -> Result<(), ExpressionFault> {
        let name = call.func_name.as_str();
        let is_internal = name == INTERNAL && scope.is_some();
        if !(OPERATORS.contains(&name) || FUNCTIONS.contains(&name) || is_internal) {
            return Err(ExpressionFault);
        }
        if name == "matches" && (scope.is_some() || !is_small_pattern(call)) {
            return Err(ExpressionFault);
        }
        if let Some(scope) = scope {
            if is_element_of_range(call, scope) {
                return Ok(());
            }
            if let Some(picked) = appended(call, scope) {
                let sound = path(picked).is_some_and(|path| path.root == scope.comprehension.iter_var);
                return if sound { Ok(()) } else { Err(ExpressionFault) };
            }
        }
        call.target.iter().try_for_each(|target| self.visit(target, scope))?;
        call.args.iter().try_for_each(|arg| self.visit(arg, scope))
    }

    fn comprehension(
        &mut self,
        comprehension: &ComprehensionExpr,
        scope: Option<Scope<'_>>,
    ) -> Result<(), ExpressionFault> {
        let shadows = matches!(comprehension.iter_var.as_str(), "status" | "body");
        if scope.is_some() || shadows || comprehension.iter_var2.is_some() {
            return Err(ExpressionFault);
        }
        self.visit(&comprehension.iter_range, None)?;
        let inner = Some(Scope { comprehension });
        self.visit(&comprehension.accu_init, inner)?;
        self.visit(&comprehension.loop_cond, inner)?;
        self.visit(&comprehension.loop_step, inner)?;
        self.visit(&comprehension.result, inner)
    }
}

/// `range[element]`, where `range` is a path and what the macro runs over.
fn is_element_of_range(call: &CallExpr, scope: Scope<'_>) -> bool {
    match call.args.as_slice() {
        [range, IdedExpr { expr: Expr::Ident(element), .. }] if call.func_name == operators::INDEX => {
            *element == scope.comprehension.iter_var
                && path(range).is_some_and(|range| Some(range) == path(&scope.comprehension.iter_range))
        }
        _ => false,
    }
}

/// What `map` and `filter` append for each element: the `t` of `accumulator + [t]`.
fn appended<'a>(call: &'a CallExpr, scope: Scope<'_>) -> Option<&'a IdedExpr> {
    match call.args.as_slice() {
        [IdedExpr { expr: Expr::Ident(left), .. }, IdedExpr { expr: Expr::List(right), .. }]
            if call.func_name == operators::ADD && *left == scope.comprehension.accu_var =>
        {
            right.elements.first()
        }
        _ => None,
    }
}

/// A path (`a`, `a.b`, `a[0].c`, `a["b"]`).
#[derive(PartialEq)]
struct Path<'a> {
    root: &'a str,
    steps: Vec<Step<'a>>,
}

#[derive(PartialEq)]
enum Step<'a> {
    Field(&'a str),
    Index(&'a LiteralValue),
}

fn path(expression: &IdedExpr) -> Option<Path<'_>> {
    match &expression.expr {
        Expr::Ident(root) => Some(Path { root, steps: Vec::new() }),
        Expr::Select(select) if !select.test => {
            let mut path = path(&select.operand)?;
            path.steps.push(Step::Field(&select.field));
            Some(path)
        }
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [operand, IdedExpr { expr: Expr::Literal(index), .. }] => {
                let mut path = path(operand)?;
                path.steps.push(Step::Index(index));
                Some(path)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Of `text.matches(pattern)`.
fn is_small_pattern(call: &CallExpr) -> bool {
    match call.args.last().map(|arg| &arg.expr) {
        Some(Expr::Literal(LiteralValue::String(pattern))) => {
            regex::RegexBuilder::new(pattern.inner()).size_limit(MAX_PATTERN).build().is_ok()
        }
        _ => false,
    }
}
