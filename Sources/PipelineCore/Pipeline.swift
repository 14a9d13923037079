public import Files

/// The contents of a pipeline file: the stages, their settings and the workspace.
///
///     {
///       workspace: "runs/quickstart",   // where everything goes
///       threads: 2,                     // left out: as many as there are processors
///       model: "data/tiny-sd",          // any other key is shared by the stages that have it
///       seed: 42,
///       stages: { ingest: { source: "data/sample/*.parquet" }, encode: {} },
///     }
///
/// A stage's settings are its defaults, overridden by shared ones, then by its own block. Keys are
/// spelled `like_this`. The order of the stages is that of the program's list, not the file's.
/// Relative paths are relative to the current folder.
public struct Pipeline {
  public let path: String
  public let workspacePath: String
  /// The number of threads; nil: one per processor.
  public let threads: Int?
  public let device: DeviceChoice
  public let devicePrecision: DevicePrecision
  /// Whether a stage that was begun on another device may continue.
  let mayChangeDevice: Bool
  /// The stages listed in the file, in execution order.
  public let stages: [ConfiguredStage]
  /// The names that any stage, even of another pipeline, writes to in a workspace.
  let knownNames: Set<String>
  /// The arguments that select this pipeline again, with the same overrides and workspace.
  private let arguments: [String]
  /// Lines to print first, such as an override that not every stage follows.
  public let notes: [String]

  /// - Parameters:
  ///   - stages: all available stages, in execution order.
  ///   - overrides: `stage.key=value` or `key=value`, taking precedence over the file; the value is
  ///     JSON5, or else a string.
  ///   - workspace: overrides the file's.
  public init(
    path: String, stages: [any Stage.Type], overrides: [String] = [], workspace: String? = nil
  ) throws {
    if PathKind(of: path) == .folder {
      throw PipelineError.badSetting(
        path: path, reason: "is a folder; name the pipeline file (.json5)")
    }
    let ending = path.split(separator: ".").last?.lowercased() ?? ""
    guard !["csv", "tsv", "parquet", "jsonl", "ndjson", "txt"].contains(ending) else {
      throw PipelineError.badSetting(
        path: path,
        reason:
          "is data, not a pipeline; look at it with spo ingest --dry-run, and let the ingest.source of a "
          + "pipeline name it")
    }
    let file = try Self.asSettings {
      try JSON(contentsOf: path, dialect: .json5, maximumSize: 1 << 20)
    }
    guard let root = file.object else {
      throw PipelineError.badSetting(path: path, reason: "must be an object, but is \(file.kind)")
    }
    try self.init(
      path: path, root: root, stages: stages, overrides: overrides, workspace: workspace)
  }

  /// - Parameters:
  ///   - path: the pipeline's name in messages
  ///   - root: the parsed contents of its file
  public init(
    path: String, root: JSON.Object, stages: [any Stage.Type], overrides: [String] = [],
    workspace: String? = nil
  ) throws {
    var root = root
    for text in overrides { try Self.apply(text, to: &root, stages: stages) }
    if let workspace { root["workspace"] = .string(workspace) }
    let own = try PipelineSettings(from: root, path: path)
    guard own.workspace != "~", !own.workspace.hasPrefix("~/") else {
      throw PipelineError.badSetting(
        path: "workspace",
        reason: "~ is not expanded in \(own.workspace); write the full path")
    }
    workspacePath = own.workspace
    threads = own.threads
    device = own.device
    devicePrecision = own.devicePrecision
    mayChangeDevice = own.mayChangeDevice
    self.path = path
    arguments =
      [path] + (workspace.map { ["--workspace", $0] } ?? []) + overrides.flatMap { ["--set", $0] }
    knownNames = Set(stages.flatMap { $0.namesInWorkspace })
    self.stages = try Self.configure(stages, from: root, path: path)
    notes = try OverrideReach(of: overrides, self.stages, root).notes()
  }

  var runCommand: String { command("run") }

  /// Returns the command line that runs a command on this pipeline.
  func command(_ name: String) -> String { Self.shellLine(["spo", name] + arguments) }

  /// Quotes words for a shell.
  private static func shellLine(_ words: [String]) -> String {
    words.map { word in
      let isPlain = word.allSatisfy {
        $0.isASCII && ($0.isLetter || $0.isNumber || "-_./=:,+%@".contains($0))
      }
      return isPlain && !word.isEmpty
        ? word : "'\(word.replacing("'", with: "'\\''"))'"
    }.joined(separator: " ")
  }

  /// Reports what cannot be read in a pipeline file as a bad setting, not bad data.
  private static func asSettings<Value>(_ read: () throws -> Value) throws -> Value {
    do { return try read() } catch let error as JSONError {
      throw PipelineError.malformedFile(error)
    }
  }

  private static func configure(
    _ types: [any Stage.Type], from root: JSON.Object, path: String
  ) throws -> [ConfiguredStage] {
    let blocks = try asSettings { try JSONReader(.object(root), path: path)["stages"].object() }
    let names = types.map { $0.name }
    guard !blocks.isEmpty else {
      throw PipelineError.badSetting(
        path: "\(path): stages",
        reason: "lists no stage; available: \(names.joined(separator: ", "))")
    }
    for name in blocks.keys where !names.contains(name) {
      throw PipelineError.unknownStage(
        name: name, nearest: nearest(to: name, in: names), known: names)
    }
    var shared = root
    for key in PipelineSettings.keys { shared[key] = nil }
    var sharedKeysRead: Set<String> = []
    var allKeys: [String] = []
    var configured: [ConfiguredStage] = []
    for type in types {
      guard let block = blocks[type.name] else { continue }
      let stagePath = "\(path): stages.\(type.name)"
      guard let ownKeys = block.object?.keys else {
        throw PipelineError.badSetting(
          path: stagePath, reason: "must be an object, but is \(block.kind)")
      }
      let defaults = try defaults(of: type)
      allKeys += defaults.keys
      var settings = defaults
      var paths: [String: String] = [:]
      for (key, value) in shared where defaults[key] != nil {
        settings[key] = overlay(value, on: settings[key])
        sharedKeysRead.insert(key)
        if !ownKeys.contains(key) { paths[key] = "\(path): \(key)" }
      }
      configured.append(
        try ConfiguredStage(
          type, settings: overlay(block, on: .object(settings)), path: stagePath, paths: paths))
    }
    if let unread = shared.keys.first(where: { !sharedKeysRead.contains($0) }) {
      if let type = try types.first(where: { try defaults(of: $0)[unread] != nil }) {
        throw PipelineError.badSetting(
          path: "\(path): \(unread)",
          reason:
            "is a setting of stage \(type.name) and others, none of which are in this pipeline; "
            + "remove it")
      }
      let known = Array(Set(PipelineSettings.keys + allKeys)).sorted()
      throw PipelineError.unknownSetting(
        path: "\(path): \(unread)", nearest: nearestSetting(to: unread, in: known), known: known)
    }
    let planned = Dictionary(uniqueKeysWithValues: configured.map { ($0.name, $0) })
    for place in configured.indices { configured[place].planned = planned }
    return configured
  }

  private static func defaults<S: Stage>(of type: S.Type) throws -> JSON.Object {
    try SettingsEncoder.json(S.Settings()).object ?? JSON.Object()
  }

  private static func apply(
    _ text: String, to root: inout JSON.Object, stages: [any Stage.Type]
  ) throws {
    let (keys, value) = try SettingOverride.parts(of: text)
    if keys.count > 1 {
      let names = stages.map { $0.name }
      guard names.contains(keys[0]) else {
        let owner = try stages.first { try Self.defaults(of: $0)[keys[0]] != nil }
        throw PipelineError.unknownStage(
          name: keys[0],
          nearest: owner.map { ([$0.name] + keys).joined(separator: ".") }
            ?? nearest(to: keys[0], in: names), known: names)
      }
      guard root["stages"]?[keys[0]] != nil else {
        throw PipelineError.badSetting(
          path: "--set \(text)", reason: "the pipeline has no stage \"\(keys[0])\"")
      }
    }
    let path = keys.count > 1 ? ["stages"] + keys : keys
    root = replacing(path[...], in: .object(root), with: value).object ?? root
  }

  /// Returns a copy with the value under some keys; everything else stays.
  private static func replacing(
    _ path: ArraySlice<String>, in base: JSON?, with value: JSON
  ) -> JSON {
    guard let key = path.first else { return value }
    var members = base?.object ?? JSON.Object()
    members[key] = replacing(path.dropFirst(), in: members[key], with: value)
    return .object(members)
  }

  /// Merges `value` into `base` key by key; anything but two objects replaces.
  private static func overlay(_ value: JSON, on base: JSON?) -> JSON {
    guard let additions = value.object, var merged = base?.object else { return value }
    for (key, addition) in additions { merged[key] = overlay(addition, on: merged[key]) }
    return .object(merged)
  }
}
