//! L1 and L2 by the graph: from every state that can be reached, once the faults and everybody else have stopped, whatever the
//! operator cannot leave any more is at rest as section 3 of the design says, and writes nothing.
//!
//! A checker's `eventually` looks only at paths without cycles, and a stable operator goes in cycles: it looks again. So
//! the strongly connected components of what happens by itself are computed (Tarjan), and those that nothing leaves are
//! judged. Time passes by itself, without bounds.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};

use stateright::Model;

use super::properties::unsettled;
use super::state::State;
use super::world::{Action, World};

/// More states than this are a mistake of the scope.
const MOST: usize = 6_000_000;
/// No watch is behind by more events of a kind than this: no scope comes that far, but an operator that never stops writing would,
/// without an end. It is then the watch's turn, so that the graph ends and tells of it.
const BEHIND: usize = 24;

#[derive(Default)]
struct Graph {
    /// How each state was reached first.
    reached: Vec<(u32, Option<Action>)>,
    /// Where the edges of each state begin: of what happens by itself only.
    begin: Vec<usize>,
    edges: Vec<(u32, bool)>,
    settled: Vec<bool>,
}

/// What was explored, and what is wrong: each violation as a path that can be read.
pub struct Explored {
    pub states: usize,
    pub edges: usize,
    pub at_rest: usize,
    pub violations: Vec<String>,
}

/// Explores a scope whole.
pub fn explore(world: &World) -> Explored {
    let graph = graph(world);
    let mut explored =
        Explored { states: graph.reached.len(), edges: graph.edges.len(), at_rest: 0, violations: Vec::new() };
    for component in graph.terminal() {
        explored.at_rest += component.len();
        let writes = component.iter().any(|node| graph.of(*node).iter().any(|(_, wrote)| *wrote));
        let restless = component.iter().find(|node| !graph.settled[**node as usize]);
        if (writes || restless.is_some()) && explored.violations.len() < 3 {
            let node = restless.copied().unwrap_or(component[0]);
            let what = if writes { "never stops writing" } else { "is stuck" };
            explored.violations.push(format!("{what}:\n{}", graph.path(world, node)));
        }
    }
    explored
}

fn mark(state: &State) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

fn graph(world: &World) -> Graph {
    let mut graph = Graph::default();
    let mut known = HashMap::new();
    let first = world.begins();
    known.insert(mark(&first), 0_u32);
    graph.reached.push((0, None));
    let mut waiting = VecDeque::from([first]);
    let (mut quiet, mut all) = (Vec::new(), Vec::new());
    let mut node = 0_u32;
    while let Some(state) = waiting.pop_front() {
        assert!(graph.reached.len() < MOST, "the scope is too large");
        graph.begin.push(graph.edges.len());
        graph.settled.push(unsettled(world, &state).is_none());
        quiet.clear();
        all.clear();
        world.quiet(&state, &mut quiet);
        World::time(&state, &mut quiet);
        world.actions(&state, &mut all);
        let by_itself = quiet.len();
        quiet.extend(all.iter().filter(|action| !quiet[..by_itself].contains(action)).copied().collect::<Vec<_>>());
        for (at, action) in quiet.iter().enumerate() {
            let Some(next) = world.after(&state, *action).filter(|next| !is_behind(next)) else { continue };
            let wrote = stored(&next) != stored(&state);
            let number = match known.entry(mark(&next)) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => {
                    let number = u32::try_from(graph.reached.len()).expect("fewer");
                    new.insert(number);
                    graph.reached.push((node, Some(*action)));
                    waiting.push_back(next);
                    number
                }
            };
            if at < by_itself {
                graph.edges.push((number, wrote));
            }
        }
        node += 1;
    }
    graph.begin.push(graph.edges.len());
    graph
}

fn is_behind(state: &State) -> bool {
    state.events.iter().any(|events| events.len() > BEHIND)
}

/// What is stored, but for the versions.
fn stored(state: &State) -> Vec<impl PartialEq + use<>> {
    let objects = state.server.objects.iter();
    objects.map(|(name, it)| (*name, it.spec, it.status, it.generation, it.deleting, it.annotation)).collect()
}

impl Graph {
    fn of(&self, node: u32) -> &[(u32, bool)] {
        &self.edges[self.begin[node as usize]..self.begin[node as usize + 1]]
    }

    /// The strongly connected components that no edge leaves.
    fn terminal(&self) -> Vec<Vec<u32>> {
        const NONE: u32 = u32::MAX;
        let nodes = self.reached.len();
        let (mut index, mut low) = (vec![NONE; nodes], vec![0_u32; nodes]);
        let mut component = vec![NONE; nodes];
        let (mut stack, mut terminal, mut next, mut components) = (Vec::new(), Vec::new(), 0_u32, 0_u32);
        for root in 0..u32::try_from(nodes).expect("fewer") {
            if index[root as usize] != NONE {
                continue;
            }
            let mut calls = vec![(root, 0_usize)];
            while let Some((node, at)) = calls.pop() {
                let v = node as usize;
                if at == 0 {
                    (index[v], low[v]) = (next, next);
                    next += 1;
                    stack.push(node);
                }
                let mut deeper = None;
                for (offset, (to, _)) in self.of(node).iter().enumerate().skip(at.saturating_sub(1)) {
                    let w = *to as usize;
                    if index[w] == NONE {
                        deeper = Some((*to, offset));
                        break;
                    }
                    if component[w] == NONE {
                        low[v] = low[v].min(low[w].min(index[w]));
                    }
                }
                if let Some((to, offset)) = deeper {
                    // The edge itself is looked at again when its end is done.
                    calls.push((node, offset + 1));
                    calls.push((to, 0));
                    continue;
                }
                if low[v] == index[v] {
                    let at = stack.iter().rposition(|on| *on == node).expect("it is on the stack");
                    let members = stack.split_off(at);
                    for member in &members {
                        component[*member as usize] = components;
                    }
                    let leaves =
                        |member: &u32| self.of(*member).iter().any(|(to, _)| component[*to as usize] != components);
                    if !members.iter().any(leaves) {
                        terminal.push(members);
                    }
                    components += 1;
                }
            }
        }
        terminal
    }

    /// How a state is reached, step by step, and what it looks like.
    fn path(&self, world: &World, node: u32) -> String {
        let mut actions = Vec::new();
        let mut at = node;
        while let (parent, Some(action)) = self.reached[at as usize] {
            actions.push(action);
            at = parent;
        }
        let mut state = world.begins();
        let mut text = String::new();
        for action in actions.into_iter().rev() {
            let _ = writeln!(text, "  {action:?}");
            state = world.after(&state, action).expect("it was reached so");
        }
        let _ = writeln!(text, "  {}", unsettled(world, &state).unwrap_or_default());
        text + &shown(world, &state)
    }
}

/// A state, to be read.
pub fn shown(world: &World, state: &State) -> String {
    let mut text = String::new();
    for ((kind, name), object) in &state.server.objects {
        let _ = writeln!(text, "  {kind:?} {name}: {:?} version {}", object.spec, object.version);
        if let Some(status) = object.status.filter(|status| *status != 0) {
            let _ = writeln!(text, "    {:?}", world.tables.said(status));
        }
    }
    for (number, replica) in state.replicas.iter().enumerate() {
        let _ = writeln!(text, "  process {number}: {replica:?}");
    }
    let _ =
        writeln!(text, "  partner: {:?}, has accepted {:?}, violations {:04b}", state.mode, state.accepted, state.bad);
    text
}

/// The graph of one action after another, for a violation of safety.
pub fn told(world: &World, actions: &[Action]) -> String {
    let mut state = world.begins();
    let mut text = String::new();
    for action in actions {
        let _ = writeln!(text, "  {action:?}");
        if let Some(next) = world.next_state(&state, *action) {
            state = next;
        }
    }
    text + &shown(world, &state)
}
