public import Files
import Foundation

/// A stage with its settings, not yet instantiated.
public struct ConfiguredStage {
  let type: any Stage.Type
  public let name: String
  public let version: Int
  public let unit: String
  /// All settings as recorded, defaults included.
  public let settings: JSON
  let settingsWithoutEffect: Set<String>
  let make: (StageContext) throws -> any Stage
  /// All stages of the pipeline, by name.
  var planned: [String: ConfiguredStage] = [:]

  /// Reads and checks a stage's settings: the only place that does.
  ///
  /// - Parameters:
  ///   - path: the block's name in errors
  ///   - paths: the names of shared settings in errors
  init<S: Stage>(
    _ type: S.Type, settings json: JSON, path: String, paths: [String: String] = [:]
  ) throws {
    let settings = try SettingsDecoder.settings(
      S.Settings.self, from: json, path: path, paths: paths)
    do {
      try settings.check()
    } catch let conflict {
      throw PipelineError.badSetting(
        path: paths[conflict.name] ?? "\(path).\(conflict.name)", reason: conflict.reason)
    }
    self.type = type
    name = S.name
    version = S.version
    unit = S.unit
    // Round-trip through the type, so that 1e2 and 100 are recorded as the same number.
    self.settings = try SettingsEncoder.json(settings)
    settingsWithoutEffect = S.settingsWithoutEffect
    make = { try S(settings: settings, context: $0) }
  }

  /// Returns what the stage reads from outside the workspace.
  ///
  /// - Throws: `PipelineError.missingInput` if a setting names a file that does not exist
  func inputs(of stage: any Stage) throws -> [StageInput] {
    do {
      return try stage.inputs()
    } catch {
      guard let missing = Self.missingPath(error) else { throw error }
      for (key, value) in settings.object ?? JSON.Object() {
        guard let path = value.string, !path.isEmpty, !Folders.exists(path),
          missing == path || missing.hasPrefix(path + "/")
        else { continue }
        throw PipelineError.missingInput(
          setting: Self.sharedPaths.contains(key) ? key : "\(name).\(key)", path: path)
      }
      throw error
    }
  }

  private static func missingPath(_ error: any Error) -> String? {
    switch error {
    case FileError.system(_, let path, ENOENT), PipelineError.system(_, let path, ENOENT): path
    default: nil
    }
  }

  /// Usually set once for all stages.
  private static let sharedPaths: Set<String> = ["model", "tokenizer", "vae"]
}
