import PipelineCore

/// Settings of `ingest`.
struct IngestSettings: StageSettings {
  /// A file, a pattern such as `"data/*.parquet"`, or a list of them: parquet, JSONL, JSON, CSV.
  var source = SourceList()
  /// The split of all rows; null: what each file's name says (`validation-00000-of-00001.parquet`),
  /// `train` where it says nothing.
  var split: String?
  /// Where the columns have other names: `{ caption: "prompt", jpg_0: "image_a" }`.
  var columns: [String: String] = [:]

  /// Ties, (0.5, 0.5): keep them (`soft`), as published, or `drop` them.
  var ties = Ties.soft
  /// Leave out rows whose images are the same (`are_different` false); published: false.
  var onlyDifferent = false
  /// Leave out rows without a label: `never`, `outside_train` (published) or `always`.
  var onlyWithLabel = LabelRule.outsideTrain
  /// At most this many rows of one prompt in a split, the first ones; null, as published: all.
  var maxPerPrompt: Int?
  /// Of split `train`, compare each loser with the final winner of its ranking, whose image takes the place
  /// of the one that it lost to; ties and circles are left out; published: false.
  var onlyOnBest = false

  /// What is done with each image: `decode` it, so that damaged ones are found now, or look at the
  /// `header` only.
  var checkImages = ImageCheck.decode
  /// Larger images are refused (width times height).
  var imagePixelLimit = 89_478_485
  /// Copy the images' bytes into the catalog, for those who delete the source.
  var copyImages = false
  /// Stop when a larger part of the rows cannot be used (not counting what filters leave out).
  var maxRejectFraction = 0.01

  enum Ties: String, Codable, CaseIterable, Sendable { case soft, drop }

  enum LabelRule: String, Codable, CaseIterable, Sendable {
    case never
    case outsideTrain = "outside_train"
    case always
  }

  enum ImageCheck: String, Codable, CaseIterable, Sendable { case decode, header }

  func validate() throws(PipelineError) {
    if let maxPerPrompt, maxPerPrompt < 1 {
      throw .badSetting(path: "ingest.max_per_prompt", reason: "must be at least 1 or null")
    }
    guard imagePixelLimit >= 1 else {
      throw .badSetting(path: "ingest.image_pixel_limit", reason: "must be at least 1")
    }
    guard (0...1).contains(maxRejectFraction) else {
      throw .badSetting(path: "ingest.max_reject_fraction", reason: "must be between 0 and 1")
    }
  }
}

extension IngestSettings {
  /// The columns that the filters read beside the required ones.
  var filteredFields: [RecordField] {
    (onlyDifferent ? [.areDifferent] : []) + (onlyWithLabel == .always ? [.hasLabel] : [])
  }

  /// Throws the fault of a row that a filter leaves out.
  func filter(_ labels: RowLabels, split: String) throws(RowFault) {
    let needsLabel =
      switch onlyWithLabel {
      case .never: false
      case .outsideTrain: split != "train"
      case .always: true
      }
    if needsLabel, !labels.hasLabel {
      throw .filtered(.hasLabel, "unlabelled", "the row has no label")
    }
    if onlyDifferent, !labels.areDifferent {
      throw .filtered(.areDifferent, "same-images", "its images are the same")
    }
    if ties == .drop, labels.hasLabel, labels.isTie {
      throw .filtered(.label0, "tie", "neither image is preferred")
    }
  }
}
