//! The dependency graph in what `cargo metadata` prints.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::metadata::{list, text};

/// Packages, and what each needs to be built and to run.
///
/// Edges are normal and build dependencies. Development dependencies are left
/// out: they are in no program that anyone runs. Features are those of a build
/// of the whole workspace, which may be more than one package asks for alone,
/// never fewer.
pub(crate) struct Graph {
    packages: BTreeMap<String, Package>,
}

struct Package {
    name: String,
    needs: Vec<String>,
}

impl Graph {
    /// Reads the document that `cargo metadata --format-version 1` prints.
    ///
    /// # Panics
    ///
    /// If a field is missing: a graph with holes would pass every check.
    pub(crate) fn from_metadata(metadata: &Value) -> Self {
        let mut packages: BTreeMap<String, Package> = list(&metadata["packages"])
            .map(|package| {
                let name = text(&package["name"]);
                let needs = Vec::new();
                (text(&package["id"]), Package { name, needs })
            })
            .collect();
        for node in list(&metadata["resolve"]["nodes"]) {
            let needs = list(&node["deps"])
                .filter(|dep| list(&dep["dep_kinds"]).any(|kind| kind["kind"] != "dev"))
                .map(|dep| text(&dep["pkg"]))
                .collect();
            packages
                .get_mut(&text(&node["id"]))
                .expect("a node is a package")
                .needs = needs;
        }
        Self { packages }
    }

    /// The shortest way from the package called `from` to any that `forbidden`
    /// picks by name, as names in order; `None` where there is no way.
    ///
    /// # Panics
    ///
    /// If no package, or more than one, is called `from`.
    pub(crate) fn way(&self, from: &str, forbidden: impl Fn(&str) -> bool) -> Option<Vec<&str>> {
        let mut seen = BTreeSet::from([self.id_of(from)]);
        let mut ways = VecDeque::from([vec![self.id_of(from)]]);
        while let Some(way) = ways.pop_front() {
            let last = way[way.len() - 1];
            if way.len() > 1 && forbidden(&self.packages[last].name) {
                return Some(
                    way.iter()
                        .map(|id| self.packages[*id].name.as_str())
                        .collect(),
                );
            }
            for need in &self.packages[last].needs {
                if seen.insert(need) {
                    ways.push_back(way.iter().copied().chain([need.as_str()]).collect());
                }
            }
        }
        None
    }

    fn id_of(&self, name: &str) -> &str {
        let mut ids = self
            .packages
            .iter()
            .filter(|(_, package)| package.name == name);
        match (ids.next(), ids.next()) {
            (Some((id, _)), None) => id,
            (None, _) => panic!("no package is called {name}"),
            (Some(_), Some(_)) => panic!("several packages are called {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// `app` needs `kit` to run, `codegen` to be built, `mock` only to be
    /// tested; `kit` needs `codegen`, and `codegen` needs `socket`.
    fn made_up() -> Graph {
        let package = |name: &str| json!({"id": format!("{name} 1.0"), "name": name});
        let dep = |name: &str, kinds: &[Option<&str>]| {
            let kinds: Vec<_> = kinds.iter().map(|kind| json!({"kind": kind})).collect();
            json!({"pkg": format!("{name} 1.0"), "dep_kinds": kinds})
        };
        let packages = ["app", "kit", "codegen", "mock", "socket"].map(package);
        Graph::from_metadata(&json!({
            "packages": packages,
            "resolve": {"nodes": [
                {"id": "app 1.0", "deps": [
                    dep("kit", &[None, Some("dev")]),
                    dep("codegen", &[Some("build")]),
                    dep("mock", &[Some("dev")]),
                ]},
                {"id": "kit 1.0", "deps": [dep("codegen", &[None])]},
                {"id": "codegen 1.0", "deps": [dep("socket", &[None])]},
                {"id": "mock 1.0", "deps": []},
                {"id": "socket 1.0", "deps": []},
            ]},
        }))
    }

    #[test]
    fn the_shortest_way_is_found_through_normal_and_build_dependencies() {
        let graph = made_up();
        assert_eq!(
            graph.way("app", |name| name == "kit"),
            Some(vec!["app", "kit"])
        );
        assert_eq!(
            graph.way("app", |name| name == "socket"),
            Some(vec!["app", "codegen", "socket"])
        );
        assert_eq!(
            graph.way("kit", |name| name == "socket"),
            Some(vec!["kit", "codegen", "socket"])
        );
    }

    #[test]
    fn development_dependencies_and_the_package_itself_are_no_way() {
        let graph = made_up();
        assert_eq!(graph.way("app", |name| name == "mock"), None);
        assert_eq!(graph.way("app", |name| name == "app"), None);
        assert_eq!(graph.way("socket", |_| true), None);
    }

    #[test]
    #[should_panic(expected = "no package is called ap")]
    fn a_misspelt_package_is_no_success() {
        made_up().way("ap", |_| false);
    }
}
