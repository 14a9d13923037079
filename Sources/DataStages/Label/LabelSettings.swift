import PipelineCore

/// Settings of `label`.
package struct LabelSettings: StageSettings {
  @Setting(
    "CLIP model whose labels replace human ones: a folder, or a file next to its configuration.")
  package var scorer = ""
  @Setting(
    "An image wins if its probability exceeds the other's by more than this; else they tie.",
    in: 0..<1)
  var gap: Float = 0.1
  @Setting("Images or prompts scored at a time.", in: 1...4_096)
  var batch = 8
  @Setting("Images with more pixels are rejected.", in: 1...1_000_000_000)
  var imagePixelLimit = 89_478_485

  func check() throws(SettingConflict) {
    guard !scorer.isEmpty else {
      throw SettingConflict("scorer", "is missing: the folder of a CLIP model")
    }
  }
}
