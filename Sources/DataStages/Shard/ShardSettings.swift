import PipelineCore

/// Settings of `shard`.
package struct ShardSettings: StageSettings {
  @Setting("Maximum size of a shard, in megabytes.", in: 0.001...16_384)
  var shardSizeMb = 256.0
  @Setting(
    "Fraction of the prompts to hold out if all rows are in one split.", in: 0..<1)
  package var validationFraction = 0.05
  @Setting("Source of the labels: people, or the model of stage label.")
  package var labels = LabelSource.people

  package enum LabelSource: String, Codable, CaseIterable, Sendable {
    case people
    case model
  }
}
