/// The form in which a source expresses preferences between images; setting `ingest.format`.
enum DataForm: String, Codable, CaseIterable, Sendable {
  /// Inferred from the columns.
  case auto
  case pickapic
  case chosenRejected = "chosen_rejected"
  case votes
  case hpdv3
  case ranking
  case rankedImages = "ranked_images"
  case pairs
  case folders
  case prompts

  /// The meaning of one row, for the log.
  var meaning: String {
    switch self {
    case .auto: "inferred from the columns"
    case .pickapic: "two images and their labels, as in Pick-a-Pic"
    case .chosenRejected: "a chosen and a rejected image"
    case .votes: "two images with vote counts; the margin is the weight"
    case .hpdv3: "two images, the first of them preferred, as in HPDv3"
    case .ranking: "a list of images with their ranks or preferences; every two of them form a pair"
    case .rankedImages: "one image of a ranking per row; every two images of a ranking form a pair"
    case .pairs: "two images and which of them is preferred"
    case .folders: "a folder per prompt, with images ranked by their names"
    case .prompts: "only prompts, without comparisons"
    }
  }

  /// The fields of the two images of a row; nil if a row has another number of them.
  var imageFields: [RecordField]? {
    switch self {
    case .chosenRejected, .hpdv3: [.chosen, .rejected]
    case .pickapic, .votes, .pairs: [.image0, .image1]
    case .auto, .ranking, .rankedImages, .folders, .prompts: nil
    }
  }
}

/// Published column names of one form.
struct DataLayout {
  let form: DataForm
  /// Fields specific to this form, by column name; all are required.
  let columns: [RecordField: String]
  /// Further columns that identify the form if required ones are missing.
  var hints: [RecordField] = []
  var models: [String] = ["model_0", "model_1"]

  /// The names of the prompt column, in any case, in order of precedence.
  ///
  /// A caption next to a prompt describes the image; Pick-a-Pic calls the prompt a caption.
  static let captions = ["prompt", "caption", "text"]
  /// The names of the annotator column.
  static let annotators = ["user_id", "user_hash", "annotator", "annotator_id", "worker_id"]

  /// All layouts, in the order in which they are tried.
  ///
  /// - Source: the data sets' cards and their readers: Pick-a-Pic, open-image-preferences-v1-binarized
  ///   (and the columns of scripts for direct preference optimization), ImageRewardDB, HPDv2, HPDv3,
  ///   Rapidata
  static let all: [DataLayout] =
    [
      DataLayout(
        form: .pickapic, columns: [.label0: "label_0", .label1: "label_1"],
        hints: [.image0, .image1, .image0UID, .image1UID]),
      DataLayout(
        form: .chosenRejected, columns: [.chosen: "chosen", .rejected: "rejected"],
        models: ["chosen_model", "rejected_model"]),
      DataLayout(
        form: .chosenRejected, columns: [.chosen: "img_better", .rejected: "img_worse"]),
    ] + twoImages(.votes) { _, ends in [.votes0: "votes_\(ends.0)", .votes1: "votes_\(ends.1)"] }
    + [
      DataLayout(
        form: .votes,
        columns: [
          .image0: "image1", .image1: "image2", .votes0: "weighted_results_image1_preference",
          .votes1: "weighted_results_image2_preference",
        ], models: ["model1", "model2"]),
      DataLayout(
        form: .hpdv3, columns: [.chosen: "path1", .rejected: "path2"],
        models: ["model1", "model2"]),
    ]
    + ["image_path", "image"].map {
      DataLayout(form: .rankedImages, columns: [.image: $0, .promptID: "prompt_id", .rank: "rank"])
    }
    + ["images", "image_path", "file_path", "generations"].flatMap { images in
      ["ranks", "rank", "ranking"].map {
        DataLayout(form: .ranking, columns: [.images: images, .ranks: $0])
      }
        + ["preferences", "human_preference", "scores"].map {
          DataLayout(form: .ranking, columns: [.images: images, .preferences: $0])
        }
    } + twoImages(.pairs) { _, _ in [.preferred: "preferred"] }

  /// Layouts of two images in columns whose names end in numbers or letters.
  private static func twoImages(
    _ form: DataForm, _ others: (String, (String, String)) -> [RecordField: String]
  ) -> [DataLayout] {
    [
      ("image_", ("0", "1"), ["model_0", "model_1"]), ("jpg_", ("0", "1"), ["model_0", "model_1"]),
      ("image", ("1", "2"), ["model1", "model2"]), ("image_", ("1", "2"), ["model_1", "model_2"]),
      ("image_", ("a", "b"), ["model_a", "model_b"]),
    ].map { stem, ends, models in
      // Rapidata names its counts after the full name of the image column.
      let named = stem == "image" ? ("image\(ends.0)", "image\(ends.1)") : ends
      let images: [RecordField: String] = [
        .image0: stem + ends.0, .image1: stem + ends.1,
      ]
      return DataLayout(
        form: form, columns: images.merging(others(stem, named)) { first, _ in first },
        models: models)
    }
  }
}
