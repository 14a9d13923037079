import Diffusion
import Files
import PipelineCore
import TrainingStages

extension Provenance {
  /// Creates the provenance of a stage's LoRA.
  ///
  /// - Parameter origin: what the stage made it from
  init(of stage: TuningStage, _ origin: StageOrigin) {
    // From the record: the file may be lost, to be rebuilt.
    var digests: [String: String] = [:]
    digests["lora"] = origin.outputs[stage.loraFile]
    // Such as `model/unet/config.json`: a model's file, by its path there.
    let inputs = Dictionary(grouping: origin.inputs) { $0.name.split(separator: "/")[0] }
    for (role, files) in inputs { digests[String(role)] = Self.digest(of: files) }
    digests["data"] = origin.upstream["shards"]
    digests["preference"] = origin.upstream["preference-model"] ?? digests["preference"]
    self.init(stage: stage.rawValue, digests: digests, settings: origin.settings.text())
  }

  /// Returns a single file's own digest; for several, that of their `sha256sum` output, by path.
  private static func digest(of files: [StageInput]) -> String {
    if files.count == 1 { return files[0].identity }
    let lines = files.map { file in
      (file.name.split(separator: "/").dropFirst().joined(separator: "/"), file.identity)
    }.sorted { $0.0 < $1.0 }
    return SHA256.hexDigest(of: Array(lines.map { "\($1)  \($0)\n" }.joined().utf8))
  }

  /// Returns it as an input of stage `export`: when it changes, so do the headers.
  func input(of stage: TuningStage) -> StageInput {
    StageInput(
      name: "provenance/\(stage.rawValue)",
      path: "the inputs and settings of stage \(stage.rawValue)",
      identity: digest)
  }
}
