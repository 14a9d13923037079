import PipelineCore

/// Settings of `shard`.
package struct ShardSettings: StageSettings {
  @Setting("A shard is closed before it exceeds this many megabytes.", in: 0.001...16_384)
  var shardSizeMb = 256.0
  @Setting(
    "Fraction of the prompts that is held out if all rows are of one split.", in: 0..<1)
  package var validationFraction = 0.05
  @Setting("Source of the labels: people, or the model of stage label.")
  package var labels = LabelSource.people

  package enum LabelSource: String, Codable, CaseIterable, Sendable {
    case people
    case model
  }
}
