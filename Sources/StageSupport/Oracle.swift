package import Diffusion
package import PipelineCore
import ProceduralWorld

/// A scorer that comes with the program, as a setting.
public enum Oracle: String, CaseIterable, Codable, Sendable {
  case none
  case proceduralWorld = "procedural-world"
}

extension Oracle {
  /// Refuses a model whose images, and prompts whose contents, it does not know.
  ///
  /// - Parameters:
  ///   - setting: the one that asks for it, such as `report.oracle`
  ///   - prompts: nil where they are not there yet
  ///   - source: where the prompts come from
  package func requireFit(
    _ model: ModelFolder, setting: String, prompts: [String]?, from source: String
  ) throws(PipelineError) {
    guard self != .none else { return }
    if let side = try? ModelConfiguration(model).imageSide, side != WorldImage.side {
      throw .badSetting(
        path: setting,
        reason: "scores images of \(WorldImage.side) x \(WorldImage.side) pixels, but "
          + "\(model.path) generates \(side) x \(side)")
    }
    for prompt in prompts ?? [] {
      do throws(ScenePromptError) { _ = try Scene(prompt: prompt) } catch {
        throw .badSetting(
          path: setting,
          reason: "understands only prompts of the embedded world; set \(setting)=none for others "
            + "(\(source): \(error))")
      }
    }
  }
}
