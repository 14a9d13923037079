import Files

/// What a stage's result depends on: equal bases give equal results.
struct StageBasis: Equatable {
  var version: Int
  /// All settings; those without effect are left out of the fingerprint and of the comparison.
  var settings: JSON
  var settingsWithoutEffect: Set<String> = []
  var inputs: [StageInput]
  /// The fingerprints of the stages whose artifacts it reads.
  var upstream: [String: String]

  private var effectiveSettings: JSON {
    var object = settings.object ?? JSON.Object()
    for key in settingsWithoutEffect { object[key] = nil }
    return .object(object)
  }

  /// SHA-256 over all of it, 64 hexadecimal digits.
  var fingerprint: String {
    let content: JSON = [
      "version": .integer(version), "settings": effectiveSettings.sorted,
      "inputs": .array(
        inputs.sorted { $0.name < $1.name }.map { [.string($0.name), .string($0.identity)] }),
      "upstream": Self.object(upstream),
    ]
    return SHA256.hexDigest(of: Array(content.text().utf8))
  }

  /// What is different now from `earlier`, in words.
  func changes(since earlier: StageBasis) -> [String] {
    var changes: [String] = []
    if version != earlier.version {
      changes.append("the program's stage changed: version \(earlier.version) -> \(version)")
    }
    changes += Self.differences(
      "setting ", earlier.effective(without: settingsWithoutEffect), effectiveSettings)
    let before = Dictionary(earlier.inputs.map { ($0.name, $0.identity) }) { first, _ in first }
    let now = Dictionary(inputs.map { ($0.name, $0.identity) }) { first, _ in first }
    for name in Set(before.keys).union(now.keys).sorted() where before[name] != now[name] {
      let how =
        switch (before[name], now[name]) {
        case (nil, _): "is new"
        case (_, nil): "is no longer read"
        case (let old?, let new?): "changed: \(old.prefix(12)) -> \(new.prefix(12))"
        }
      changes.append("input \(name) \(how)")
    }
    for stage in Set(upstream.keys).union(earlier.upstream.keys).sorted()
    where upstream[stage] != earlier.upstream[stage] {
      changes.append("stage \(stage) gives another result")
    }
    return changes
  }

  private func effective(without keys: Set<String>) -> JSON {
    var copy = self
    copy.settingsWithoutEffect = keys
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

  fileprivate static func object(_ values: [String: String]) -> JSON {
    var object = JSON.Object()
    for (key, value) in values.sorted(by: { $0.key < $1.key }) { object[key] = .string(value) }
    return .object(object)
  }
}

/// How far a stage got, kept in `state/STAGE.json`.
struct StageRecord: Equatable {
  var isDone: Bool
  var basis: StageBasis
  var unitsDone = 0
  var unitsTotal = 0
  var rejects: [String: Int] = [:]
  /// Time worked, over all runs with this basis.
  var seconds = 0.0
  /// The most resident bytes in any of these runs; 0 where a record does not say.
  var peakMemory = 0

  /// Nil if the stage has never begun.
  ///
  /// - Throws: `PipelineError.damaged`: records are only ever replaced as a whole, so one that
  ///   cannot be read was changed by something else.
  static func load(from path: String) throws -> StageRecord? {
    guard Folders.exists(path) else { return nil }
    do {
      return try StageRecord(JSONReader(contentsOf: path))
    } catch let error as JSONError {
      throw PipelineError.damaged(
        path: path, reason: "\(error); delete it to run the stage from its beginning")
    }
  }

  func save(to path: String) throws {
    try AtomicFile.replace(path, with: Array((json.text(.pretty) + "\n").utf8))
  }
}

extension StageRecord {
  init(_ reader: JSONReader) throws(JSONError) {
    isDone = try reader.bool("done")
    var inputs: [StageInput] = []
    for (name, identity) in try reader["inputs"].members() {
      inputs.append(StageInput(name: name, identity: try identity.string()))
    }
    var upstream: [String: String] = [:]
    for (stage, fingerprint) in try reader["upstream"].members() {
      upstream[stage] = try fingerprint.string()
    }
    basis = StageBasis(
      version: try reader.int("version"), settings: try reader["settings"].value, inputs: inputs,
      upstream: upstream)
    unitsDone = try reader.int("units_done")
    unitsTotal = try reader.int("units_total")
    for (code, count) in try reader["rejects"].members() { rejects[code] = try count.int() }
    seconds = try reader.double("seconds")
    peakMemory = try reader.optional("peak_memory")?.int() ?? 0
  }

  var json: JSON {
    var counts = JSON.Object()
    for (code, count) in rejects.sorted(by: { $0.key < $1.key }) { counts[code] = .integer(count) }
    var inputs: [String: String] = [:]
    for input in basis.inputs { inputs[input.name] = input.identity }
    return [
      "done": .bool(isDone), "units_done": .integer(unitsDone),
      "units_total": .integer(unitsTotal), "rejects": .object(counts),
      "seconds": .number((seconds * 1_000).rounded() / 1_000),
      "peak_memory": .integer(peakMemory),
      "version": .integer(basis.version), "settings": basis.settings,
      "inputs": StageBasis.object(inputs), "upstream": StageBasis.object(basis.upstream),
    ]
  }
}

extension JSON {
  /// The same value with the keys of all objects in alphabetical order.
  fileprivate var sorted: JSON {
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
