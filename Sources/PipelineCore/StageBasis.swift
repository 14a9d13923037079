import Files

/// The inputs that determine a stage's result: equal bases give equal results.
struct StageBasis: Equatable {
  var version: Int
  /// All settings; those without effect are ignored in comparisons.
  var settings: JSON
  var settingsWithoutEffect: Set<String> = []
  /// Equivalent values for settings that an earlier version of the program lacked.
  var earlierSettings: [String: JSON] = [:]
  var inputs: [StageInput]
  /// The digests of the artifacts that it reads, by name.
  var upstream: [String: String]

  var effectiveSettings: JSON {
    var object = settings.object ?? JSON.Object()
    for key in settingsWithoutEffect { object[key] = nil }
    return .object(object)
  }

  /// Describes the differences from `earlier`.
  ///
  /// - Parameter makers: the stages that make the artifacts
  func changes(since earlier: StageBasis, makers: [String: String] = [:]) -> [String] {
    var changes: [String] = []
    if version != earlier.version {
      changes.append("the stage's code changed: version \(earlier.version) -> \(version)")
    }
    changes += Self.differences("setting ", settings(of: earlier), effectiveSettings)
    let before = Dictionary(earlier.inputs.map { (ExactText($0.name), $0) }) { first, _ in first }
    let now = Dictionary(inputs.map { (ExactText($0.name), $0) }) { first, _ in first }
    for name in Set(before.keys).union(now.keys).sorted() {
      let (old, new) = (before[name], now[name])
      guard old?.identity != new?.identity else { continue }
      let how =
        switch (old, new) {
        case (nil, _): "is new"
        case (_, nil): "is no longer read"
        case (let old?, let new?): "differs from the one used before: \(Self.difference(old, new))"
        }
      changes.append("input \(new?.path ?? Folders.seenFromHere(name.text)) \(how)")
    }
    let artifacts = Set(upstream.keys).union(earlier.upstream.keys).filter {
      upstream[$0] != earlier.upstream[$0]
    }
    for stage in Set(artifacts.map { makers[$0] ?? $0 }).sorted() {
      changes.append("the result of stage \(stage) changed")
    }
    return changes
  }

  /// Describes how two identities of an input differ: in a digest, or in what follows the same digest.
  private static func difference(_ old: StageInput, _ new: StageInput) -> String {
    let (before, now) = (
      old.identity.split(separator: " ", maxSplits: 1),
      new.identity.split(separator: " ", maxSplits: 1)
    )
    guard before.count == 2, now.count == 2, before[0] == now[0], now[0].count == 64 else {
      return "\(old.identity.prefix(12)) -> \(new.identity.prefix(12))"
    }
    return "the same bytes, but now \(now[1]) instead of \(before[1])"
  }

  /// Returns another basis's effective settings in the current format.
  private func settings(of earlier: StageBasis) -> JSON {
    var copy = earlier
    copy.settingsWithoutEffect = settingsWithoutEffect
    var object = earlier.settings.object ?? JSON.Object()
    for (key, value) in earlierSettings where object[key] == nil { object[key] = value }
    copy.settings = .object(object)
    return copy.effectiveSettings
  }

  private static func differences(_ path: String, _ old: JSON?, _ new: JSON?) -> [String] {
    guard old?.sorted != new?.sorted else { return [] }
    if let before = old?.object, let now = new?.object {
      let separator = path.hasSuffix(" ") ? "" : "."
      return Set(before.keys).union(now.keys).sorted().flatMap {
        differences(path + separator + $0, before[$0], now[$0])
      }
    }
    return ["\(path): \(old?.text() ?? "none") -> \(new?.text() ?? "none")"]
  }
}

extension JSON {
  /// The same value with all object keys sorted.
  var sorted: JSON {
    switch self {
    case .array(let elements): return .array(elements.map(\.sorted))
    case .object(let object):
      var result = Object()
      for (key, value) in object.sorted(by: { $0.0 < $1.0 }) { result[key] = value.sorted }
      return .object(result)
    default: return self
    }
  }
}
