import Files

/// A setting on the command line that overrides the file.
enum SettingOverride {
  /// Parses the keys and the value of `stage.key=value` or `key=value`; the value is JSON5, or else
  /// a string.
  static func parts(of text: String) throws(PipelineError) -> (keys: [String], value: JSON) {
    guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
      throw .badOverride(text)
    }
    var keys = text[..<equals].split(separator: ".", omittingEmptySubsequences: false)
      .map(String.init)
    guard !keys.contains("") else { throw .badOverride(text) }
    // The spelling of the path in pipeline files and in messages about them.
    if keys.count > 2, keys[0] == "stages" { keys.removeFirst() }
    let source = String(text[text.index(after: equals)...])
    return (keys, (try? JSON(parsing: source, dialect: .json5)) ?? .string(source))
  }
}

/// The stages that follow the overrides of shared settings: one with a value of its own does not.
struct OverrideReach {
  private let overrides: [(text: String, key: String, value: JSON)]
  private let stages: [ConfiguredStage]
  private let blocks: JSON

  /// - Parameter root: the pipeline file after all overrides
  init(
    of texts: [String], _ stages: [ConfiguredStage], _ root: JSON.Object
  ) throws(PipelineError) {
    var overrides: [(text: String, key: String, value: JSON)] = []
    for text in texts {
      let (keys, value) = try SettingOverride.parts(of: text)
      if keys.count == 1, !PipelineSettings.keys.contains(keys[0]) {
        overrides.append((text, keys[0], value))
      }
    }
    self.overrides = overrides
    self.stages = stages
    blocks = root["stages"] ?? .null
  }

  /// Returns a line for each stage that keeps its own value.
  ///
  /// - Throws: `PipelineError.badSetting` for an override that no stage follows
  func notes() throws(PipelineError) -> [String] {
    var notes: [String] = []
    for (text, key, value) in overrides {
      let concerned = stages.filter { $0.settings[key] != nil }
      let keeping = concerned.filter {
        blocks[$0.name]?[key] != nil && blocks[$0.name]?[key] != value
      }
      guard !keeping.isEmpty else { continue }
      let kept = keeping.map { stage in
        "stage \(stage.name) has its own \(key), \(stage.settings[key]?.shortText ?? "")"
      }
      let remedies = keeping.map { "--set \($0.name).\(text)" }
      guard keeping.count < concerned.count else {
        throw .badSetting(
          path: "--set \(text)",
          reason: "would change nothing: \(listed(kept, "and")); "
            + "write \(listed(remedies, "or"))")
      }
      notes.append(
        "--set \(text): \(listed(kept, "and")), which stays; "
          + "to change it, add \(remedies.joined(separator: " "))")
    }
    return notes
  }
}
