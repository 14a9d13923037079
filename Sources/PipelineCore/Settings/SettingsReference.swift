public import Files

/// Everything that can be set: for `spo settings` and for the documentation.
public struct SettingsReference {
  private struct Section {
    let name: String
    let settings: [SettingDescriptor]
  }

  private let pipeline: [SettingDescriptor]
  private var sections: [Section] = []

  /// - Parameter stages: in the order in which they run
  public init(_ stages: [any Stage.Type]) throws {
    func section<S: Stage>(_ type: S.Type) throws -> Section {
      Section(name: S.name, settings: try S.Settings.descriptors())
    }
    pipeline = try PipelineSettings.descriptors()
    sections = try stages.map { try section($0) }
  }

  public var stageNames: [String] { sections.map(\.name) }

  /// Only the settings of one stage.
  public func only(_ stage: String) -> SettingsReference {
    var copy = self
    copy.sections = sections.filter { $0.name == stage }
    return copy
  }

  public var json: JSON {
    [
      "pipeline": .array(pipeline.map(\.json)),
      "stages": .array(
        sections.map { ["stage": .string($0.name), "settings": .array($0.settings.map(\.json))] }),
    ]
  }

  /// For a terminal: two lines per setting.
  public var lines: [String] {
    sections.flatMap { section in
      [section.name]
        + section.settings.flatMap { setting in
          [
            "  \(setting.name) = \(setting.defaultValue.text())    \(setting.values)",
            "      \(setting.sentence)",
          ]
        }
    }
  }

  /// The reference page of the documentation.
  public var markdown: String {
    let intro = """
      # Settings

      Made from the program's code by `make docs`; `spo settings` prints the same. A setting is written in
      its stage's block of a pipeline file, or beside `stages` for every stage that has it; `--set
      STAGE.KEY=VALUE` and `--set KEY=VALUE` override it for one run.
      """
    let all = [Section(name: "Pipeline", settings: pipeline)] + sections
    return ([intro] + all.map(Self.table)).joined(separator: "\n\n")
  }

  private static func table(_ section: Section) -> String {
    let rows = section.settings.map { setting in
      let cells = [
        "`\(setting.name)`", setting.typeWithoutArticle, "`\(setting.defaultValue.text())`",
        setting.limits.text ?? "", setting.sentence,
      ]
      return "| \(cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ")) |"
    }
    return """
      ## \(section.name)

      | setting | type | default | range | |
      | --- | --- | --- | --- | --- |
      \(rows.joined(separator: "\n"))
      """
  }
}

extension SettingDescriptor {
  fileprivate var typeWithoutArticle: String {
    for article in ["a ", "an "] where type.hasPrefix(article) {
      return String(type.dropFirst(article.count))
    }
    return type
  }

  /// Type and range in a few words.
  fileprivate var values: String {
    [typeWithoutArticle, limits.text].compactMap { $0 }.joined(separator: ", ")
  }
}
