import PipelineCore

/// Settings of `label`.
struct LabelSettings: StageSettings {
  /// The CLIP model whose choices replace people's: a folder, or a file of weights with its
  /// configuration beside it.
  var scorer = ""
  /// A picture wins if its probability exceeds the other's by more; otherwise the two tie.
  var gap: Float = 0.1
  /// Pictures or prompts that are looked at together.
  var batch = 8
  /// Larger pictures are refused (width times height).
  var imagePixelLimit = 89_478_485

  func validate() throws(PipelineError) {
    guard !scorer.isEmpty else {
      throw .badSetting(path: "label.scorer", reason: "is missing: the folder of a CLIP model")
    }
    guard (0..<1).contains(gap) else {
      throw .badSetting(path: "label.gap", reason: "must be at least 0 and less than 1")
    }
    guard (1...4_096).contains(batch) else {
      throw .badSetting(path: "label.batch", reason: "must be between 1 and 4096")
    }
    guard imagePixelLimit >= 1 else {
      throw .badSetting(path: "label.image_pixel_limit", reason: "must be at least 1")
    }
  }
}
