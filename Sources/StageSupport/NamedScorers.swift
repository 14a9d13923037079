import Backends
package import Diffusion
import Foundation
package import PipelineCore
package import Scorers

/// Published scorers of images, each with the path of its weights: the value of a setting.
package struct NamedScorers {
  /// In the order in which scores are listed everywhere.
  package let all: [(kind: ScorerKind, path: String)]

  /// - Parameter scorers: paths by the scorers' names; others are left out
  package init(_ scorers: [String: String]) {
    all = ScorerKind.allCases.compactMap { kind in scorers[kind.rawValue].map { (kind, $0) } }
  }

  /// Refuses unknown names and empty paths.
  package static func check(
    _ scorers: [String: String], _ setting: String
  ) throws(SettingConflict) {
    for (name, path) in scorers.sorted(by: { $0.key < $1.key }) {
      guard ScorerKind(rawValue: name) != nil else {
        throw SettingConflict(
          setting,
          "must use scorers from \(ScorerKind.allCases.map(\.rawValue).joined(separator: ", ")), but is "
            + "\"\(name)\"\(ScorerKind.hint(for: name))")
      }
      guard !path.isEmpty else {
        throw SettingConflict(
          setting, "must name the folder or file of the weights of \(name), but is \"\"")
      }
    }
  }

  /// The files of all.
  package func inputs(_ digests: FileDigests) throws -> [StageInput] {
    try all.flatMap { kind, path in
      try Scorer.files(path: path, kind: kind).map {
        try digests.input(
          file: $0, as: "\(kind.rawValue)/\(URL(fileURLWithPath: $0).lastPathComponent)")
      }
    }
  }

  /// Refuses weights whose names and shapes are not those of their scorers; reads no weights.
  package func checkWeights(of base: ModelFolder) throws {
    try withBackend(PlanningBackend()) {
      for (kind, path) in all {
        _ = try Scorer(kind, path: path, tokenizer: try base.tokenizer())
      }
    }
  }

  /// - Parameter setting: the one that names them, as `--set` takes it
  package func sources(_ setting: String) -> [NamedSource] {
    all.map { kind, path in
      NamedSource(
        setting: setting, path: path, what: "the weights of the score \(kind.rawValue)",
        override: "'\(setting)={\"\(kind.rawValue)\": \"PATH\"}'")
    }
  }
}
