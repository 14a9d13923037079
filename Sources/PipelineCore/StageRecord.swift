import Files

/// One build of a stage's result: its inputs, progress and cost.
struct StageRun: Equatable {
  var basis: StageBasis
  var unitsDone = 0
  var unitsTotal = 0
  var rejections: [String: Int] = [:]
  /// The working time, over all runs with this basis.
  var seconds = 0.0
  /// The peak resident bytes over these runs; 0 if not recorded.
  var peakMemory = 0
  /// The devices that computed it, in order; empty for stages that use none.
  var devices: [String] = []
}

/// A file that a stage has written.
struct OutputFile: Equatable {
  var byteCount: Int
  /// Nil if an earlier version left it out.
  var sha256: String?
  /// Whether it belongs to an artifact.
  ///
  /// Other files, such as logs, are not rebuilt if lost.
  var isRead = true
}

/// A complete result: its run and its files, by their paths in the workspace.
struct StageResult: Equatable {
  var run: StageRun
  var files: [String: OutputFile] = [:]
  /// The digests that later stages compare, by artifact name.
  var artifacts: [String: String] = [:]
  /// Recorded by a version of this program that did not list the files; the list was made later and
  /// may be incomplete.
  var isUnlisted = false

  /// Whether its files and artifacts can be compared.
  var isKnown: Bool { !isUnlisted || !artifacts.isEmpty }
}

/// The progress of a stage, kept in `state/STAGE.json`.
struct StageRecord: Equatable {
  enum Phase: String {
    /// A new result is being built, apart from the present `result`.
    case building
    /// `next` is complete and is replacing `result` file by file, perhaps halfway.
    case replacing
    /// Missing files of `result` are being rebuilt in place.
    case repairing
    case done
  }

  var phase: Phase
  /// The run in progress, or the one that made `result`.
  var run: StageRun
  /// The result in the stage's paths.
  var result: StageResult?
  /// The result about to be put in place.
  var next: StageResult?
  /// Whether the build continues although `result` is up to date: the user asked for another, or it
  /// was damaged.
  var isForced = false
  /// Foreign files in the stage's paths before a repair.
  var foreign: [String] = []

  /// Loads a record; nil if the stage has never begun.
  ///
  /// - Throws: `PipelineError.damaged`: records are always replaced as a whole, so an invalid one
  ///   was changed by something else.
  static func load(from path: String) throws -> StageRecord? {
    guard Folders.exists(path) else { return nil }
    do {
      return try StageRecord(JSONReader(contentsOf: path))
    } catch let error as JSONError {
      throw PipelineError.damaged(
        path: path,
        reason: "\(error); it lists the files of its stage: move it and those files away to run "
          + "the stage again")
    }
  }

  func save(to path: String) throws {
    var json = self.json
    json["check"] = .string(Self.checksum(json))
    try AtomicFile.replace(path, with: Array((JSON.object(json).text(.pretty) + "\n").utf8))
  }

  fileprivate static func checksum(_ json: JSON.Object) -> String {
    SHA256.hexDigest(of: Array(JSON.object(json).text().utf8))
  }
}

// MARK: - JSON

extension StageRecord {
  init(_ reader: JSONReader) throws(JSONError) {
    run = try StageRun(reader)
    guard let phaseName = try reader.optional("phase")?.string() else {
      // An earlier version: the files are not listed, and are compared by other rules.
      phase = .done
      result = StageResult(run: run, isUnlisted: true)
      return
    }
    var content = try reader.object()
    content["check"] = nil
    guard let phase = Phase(rawValue: phaseName),
      try reader.string("check") == Self.checksum(content)
    else {
      throw .unexpected(
        path: reader.path, expected: "its original content", found: "modified: its checksum differs"
      )
    }
    self.phase = phase
    result = try reader.optional("result").map { value throws(JSONError) in
      try StageResult(value, run: phase == .done ? run : nil)
    }
    next = try reader.optional("next").map { value throws(JSONError) in
      try StageResult(value, run: run)
    }
    isForced = try reader.optional("forced")?.bool() ?? false
    for path in try reader["foreign"].elements() { foreign.append(try path.string()) }
  }

  fileprivate var json: JSON.Object {
    var json = run.json
    json["done"] = .bool(phase == .done)
    json["phase"] = .string(phase.rawValue)
    json["result"] = result.map { .object($0.json(withRun: phase != .done)) }
    json["next"] = next.map { .object($0.json(withRun: false)) }
    if isForced { json["forced"] = true }
    json["foreign"] = .array(foreign.map { .string($0) })
    return json
  }
}

extension StageResult {
  /// - Parameter run: the record's run, if it is the same
  fileprivate init(_ reader: JSONReader, run: StageRun?) throws(JSONError) {
    if let run { self.run = run } else { self.run = try StageRun(reader) }
    isUnlisted = try reader.optional("unlisted")?.bool() ?? false
    for (path, file) in try reader["files"].members() {
      let digest = try file.optional("sha256")?.string()
      files[path] = OutputFile(
        byteCount: try file.int("bytes"), sha256: digest,
        isRead: try file.optional("read")?.bool() ?? (digest != nil))
    }
    for (name, digest) in try reader["artifacts"].members() {
      artifacts[name] = try digest.string()
    }
  }

  fileprivate func json(withRun: Bool) -> JSON.Object {
    var json = withRun ? run.json : JSON.Object()
    if isUnlisted { json["unlisted"] = true }
    var list = JSON.Object()
    for (path, file) in files.sorted(by: { $0.key < $1.key }) {
      var entry = JSON.Object()
      entry["bytes"] = .integer(file.byteCount)
      entry["sha256"] = file.sha256.map { .string($0) }
      if !file.isRead { entry["read"] = false }
      list[path] = .object(entry)
    }
    json["files"] = .object(list)
    json["artifacts"] = JSON(artifacts)
    return json
  }
}

extension StageRun {
  fileprivate init(_ reader: JSONReader) throws(JSONError) {
    basis = try StageBasis(reader)
    unitsDone = try reader.int("units_done")
    unitsTotal = try reader.int("units_total")
    for (code, count) in try reader["rejects"].members() { rejections[code] = try count.int() }
    seconds = try reader.double("seconds")
    peakMemory = try reader.optional("peak_memory")?.int() ?? 0
    for device in try reader.optional("devices")?.elements() ?? [] {
      devices.append(try device.string())
    }
  }

  fileprivate var json: JSON.Object {
    var counts = JSON.Object()
    for (code, count) in rejections.sorted(by: { $0.key < $1.key }) {
      counts[code] = .integer(count)
    }
    var json = JSON.Object()
    json["units_done"] = .integer(unitsDone)
    json["units_total"] = .integer(unitsTotal)
    json["rejects"] = .object(counts)
    json["seconds"] = .number((seconds * 1_000).rounded() / 1_000)
    json["peak_memory"] = .integer(peakMemory)
    if !devices.isEmpty { json["devices"] = .array(devices.map { .string($0) }) }
    basis.write(into: &json)
    return json
  }
}

extension StageBasis {
  init(_ reader: JSONReader) throws(JSONError) {
    var inputs: [StageInput] = []
    for (name, identity) in try reader["inputs"].members() {
      inputs.append(StageInput(name: name, identity: try identity.string()))
    }
    var upstream: [String: String] = [:]
    for (artifact, digest) in try reader["upstream"].members() {
      upstream[artifact] = try digest.string()
    }
    self.init(
      version: try reader.int("version"), settings: try reader["settings"].value, inputs: inputs,
      upstream: upstream)
  }

  func write(into json: inout JSON.Object) {
    json["version"] = .integer(version)
    json["settings"] = settings
    json["inputs"] = .object(Self.identities(of: inputs))
    json["upstream"] = JSON(upstream)
  }

  /// Returns the identities by name; if several inputs share a name, the first.
  private static func identities(of inputs: [StageInput]) -> JSON.Object {
    let known = Dictionary(inputs.map { (ExactText($0.name), $0.identity) }) { first, _ in first }
    var object = JSON.Object()
    for (name, identity) in known.sorted(by: { $0.key < $1.key }) {
      object[name.text] = .string(identity)
    }
    return object
  }

  /// SHA-256 of everything that the result depends on.
  var fingerprint: String {
    var json = JSON.Object()
    write(into: &json)
    json["settings"] = effectiveSettings
    return SHA256.hexDigest(of: Array(JSON.object(json).sorted.text().utf8))
  }
}

extension JSON {
  /// Creates an object of strings, by key.
  fileprivate init(_ texts: [String: String]) {
    var object = Object()
    for (key, value) in texts.sorted(by: { $0.key < $1.key }) { object[key] = .string(value) }
    self = .object(object)
  }
}
