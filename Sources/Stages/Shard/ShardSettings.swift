import PipelineCore

/// Settings of `shard`.
struct ShardSettings: StageSettings {
  /// A shard is closed before it becomes larger than this, in millions of bytes.
  var shardSizeMb = 256.0
  /// Where all rows are of one split, this part of the prompts becomes `validation`.
  var validationFraction = 0.05

  /// Whose labels comparisons have: those of `people`, or of the model of stage `label`.
  var labels = LabelSource.people

  enum LabelSource: String, Codable, CaseIterable, Sendable {
    case people
    case model
  }

  func validate() throws(PipelineError) {
    guard shardSizeMb > 0, shardSizeMb <= 16_384 else {
      throw .badSetting(path: "shard.shard_size_mb", reason: "must be above 0 and at most 16384")
    }
    guard (0..<1).contains(validationFraction) else {
      throw .badSetting(
        path: "shard.validation_fraction", reason: "must be at least 0 and less than 1")
    }
  }
}
