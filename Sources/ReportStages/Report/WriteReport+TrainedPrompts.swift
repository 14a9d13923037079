import PipelineCore
import Shards

/// Prompts that are not evidence, since the model was trained on them.
extension WriteReport {
  func trainedPromptWarnings() throws -> [String] {
    let (all, trained) = (Set(try prompts()).count, try trainedPrompts().count)
    guard trained > 0 else { return [] }
    return [
      "report: \(trained) of \(all) prompts are among those of split train, so what their images gain may not carry "
        + "over to other prompts; set report.prompts to a held-out split or to a list of others"
    ]
  }

  /// Returns the prompts of the report that were trained on, ignoring case and spaces.
  func trainedPrompts() throws -> Set<String> {
    let folder = context.workspace.path("shards")
    let index = "\(folder)/\(ShardIndex.fileName)"
    guard Folders.exists(index), try ShardIndex(contentsOf: index).splits.contains("train") else {
      return []
    }
    func normalized(_ prompt: String) -> String {
      prompt.lowercased().split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
    let shards = try ShardSet(folder: folder, split: "train")
    let trained = Set(try (0..<shards.promptCount).map { normalized(try shards.prompt($0).text) })
    return Set(try prompts().filter { trained.contains(normalized($0)) })
  }
}
