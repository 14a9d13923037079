package import PipelineCore

/// Settings of `ingest`.
package struct IngestSettings: StageSettings {
  @Setting(
    "Files, folders or patterns, such as \"data/**/*.parquet\": parquet, JSON, JSONL, CSV, TSV, text."
  )
  var source = SourceList()
  @Setting(
    "Format of the data, see docs/data.md; auto: inferred from the columns.")
  var format = DataForm.auto
  @Setting(
    "Split of all rows; null: from the name of each file or folder, else train.",
    .fileName)
  var split: String? = nil
  @Setting(
    "Your column names, such as { prompt: \"text\", image_0: \"left\", image_1: \"right\" }.")
  var columns: [String: String] = [:]
  @Setting(
    "Folder that image paths are relative to and absolute ones are in; null: the source's."
  )
  var imageRoot: String? = nil
  @Setting("At most this many rows or prompts, see limit_by; null: all.", in: 1...1_000_000_000)
  package var limit: Int? = nil
  @Setting(
    "What limit counts: rows (the first ones) or prompts (a random sample, with all their rows).")
  package var limitBy = LimitedThing.rows
  @Setting("Seed of the prompt sample.")
  var seed: UInt64 = 42
  @Setting(
    "Lists of rows (FILE:ROW) or images (uids or SHA-256), one per line: keep only these.")
  var keep = SourceList()
  @Setting("Lists of rows or images to drop, as `spo audit --out` writes them.")
  var drop = SourceList()
  @Setting("Keep ties, labelled (0.5, 0.5), or drop them; published: soft.")
  var ties = Ties.soft
  @Setting("Drop rows whose images are the same (are_different is false); published: false.")
  var onlyDifferent = false
  @Setting("Splits in which unlabelled rows are skipped; published: outside_train.")
  var onlyWithLabel = LabelRule.outsideTrain
  @Setting(
    "Keep only the first rows per prompt and split, up to this many; null: all, as published.",
    in: 1...1_000_000_000)
  var maxPerPrompt: Int? = nil
  /// Ties and cycles are left out; other splits are unchanged.
  @Setting(
    "In split train, compare each loser with the best image of its ranking; published: false.")
  var onlyOnBest = false
  @Setting("Decode every image, to find damaged ones now, or read only its header.")
  var checkImages = ImageCheck.decode
  @Setting("Images with more pixels are rejected.", in: 1...1_000_000_000)
  var imagePixelLimit = 89_478_485
  @Setting("Copy the images into the catalog, so that the source can be deleted.")
  var copyImages = false
  @Setting(
    "Stop if more than this fraction of the rows, and more than one row, is rejected (0: any).",
    in: 0...1)
  var maxRejectFraction = 0.01

  package init() {}

  package enum LimitedThing: String, Codable, CaseIterable, Sendable { case rows, prompts }

  enum Ties: String, Codable, CaseIterable, Sendable { case soft, drop }

  enum LabelRule: String, Codable, CaseIterable, Sendable {
    case never
    case outsideTrain = "outside_train"
    case always
  }

  enum ImageCheck: String, Codable, CaseIterable, Sendable { case decode, header }

  package func check() throws(SettingConflict) {
    guard !source.patterns.isEmpty, !source.patterns.contains("") else {
      throw SettingConflict("source", "is missing: name a file, a folder, a pattern or a list")
    }
    guard imageRoot != "" else {
      throw SettingConflict("image_root", "must name a folder or be null")
    }
    for (name, list) in [("keep", keep), ("drop", drop)] where list.patterns.contains("") {
      throw SettingConflict(name, "contains an empty file name")
    }
  }
}

extension IngestSettings {
  /// The columns that filters need in addition to the required ones.
  var filteredFields: [RecordField] {
    (onlyDifferent ? [.areDifferent] : []) + (onlyWithLabel == .always ? [.hasLabel] : [])
  }

  /// Throws a rejection if a filter leaves the row out.
  func filter(_ labels: RowLabels, split: String) throws(RowRejection) {
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
