/// The fields of a comparison in a source, named as in the published data.
enum RecordField: String, CaseIterable {
  case caption
  case image0 = "jpg_0"
  case image1 = "jpg_1"
  case image0UID = "image_0_uid"
  case image1UID = "image_1_uid"
  case bestImageUID = "best_image_uid"
  case label0 = "label_0"
  case label1 = "label_1"
  case hasLabel = "has_label"
  case areDifferent = "are_different"
  case examplesPerPrompt = "num_example_per_prompt"
  case rankingID = "ranking_id"
  case userID = "user_id"
  case model0 = "model_0"
  case model1 = "model_1"
  case createdAt = "created_at"
  case image0URL = "image_0_url"
  case image1URL = "image_1_url"
  /// The preferred image and the other one.
  case chosen
  case rejected
  /// The preferred one of two images.
  case preferred
  /// The number of votes for each of two images.
  case votes0 = "votes_0"
  case votes1 = "votes_1"
  /// A list of images, and a list of their ranks (1 is best) or of their scores (higher is better).
  case images
  case ranks
  case preferences
  /// One image of a ranking that spans several rows, its rank, and the ranking's id.
  case image
  case rank
  case promptID = "prompt_id"
  case weight

  /// Parses a key of `ingest.columns`: the published name, or a plainer one.
  init?(key: String) {
    switch key {
    case "prompt": self = .caption
    case "image_0": self = .image0
    case "image_1": self = .image1
    default: self.init(rawValue: key)
    }
  }

  /// The plain name of a field of the published form.
  var plainName: String? {
    switch self {
    case .caption: "prompt"
    case .image0: "image_0"
    case .image1: "image_1"
    default: nil
    }
  }

  /// All keys, for messages.
  static let keys = allCases.map(\.rawValue) + ["prompt", "image_0", "image_1"]

  /// The minimum for comparisons in the published form.
  static let required: [RecordField] = [.caption, .label0, .label1]
  /// If a source has neither, the digest of an image's bytes is its identity.
  static let uids: [RecordField] = [.image0UID, .image1UID]

  enum Kind { case text, number, truth, image, choice, imageList, numberList }

  var kind: Kind {
    switch self {
    case .image0, .image1, .chosen, .rejected, .image: .image
    case .label0, .label1, .examplesPerPrompt, .rankingID, .votes0, .votes1, .rank, .weight:
      .number
    case .hasLabel, .areDifferent: .truth
    case .preferred, .userID, .promptID: .choice
    case .images: .imageList
    case .ranks, .preferences: .numberList
    case .caption, .image0UID, .image1UID, .bestImageUID, .model0, .model1, .createdAt,
      .image0URL, .image1URL:
      .text
    }
  }

  /// Whether no stage computes with it, so that unreadable values do not reject the row.
  var isProvenance: Bool {
    switch self {
    case .bestImageUID, .rankingID, .userID, .model0, .model1, .createdAt, .image0URL, .image1URL:
      true
    default: false
    }
  }
}

extension RecordField {
  /// The meaning of its column, in words.
  var meaning: String {
    switch self {
    case .caption: "the prompt"
    case .image0: "the first image"
    case .image1: "the second image"
    case .image0UID: "identity of the first image"
    case .image1UID: "identity of the second image"
    case .bestImageUID: "identity of the better image (kept, not used)"
    case .label0: "label of the first image: 1 preferred, 0 not, 0.5 tie"
    case .label1: "label of the second image: 1 preferred, 0 not, 0.5 tie"
    case .hasLabel: "whether the row has a label"
    case .areDifferent: "whether the two images differ"
    case .examplesPerPrompt: "number of rows of the prompt (sets the weight)"
    case .rankingID: "the ranking that the row belongs to"
    case .userID: "the annotator"
    case .model0: "generator of the first image (kept, not used)"
    case .model1: "generator of the second image (kept, not used)"
    case .createdAt: "creation time (kept, not used)"
    case .image0URL: "URL of the first image (kept, not used)"
    case .image1URL: "URL of the second image (kept, not used)"
    case .chosen: "the preferred image"
    case .rejected: "the other image"
    case .preferred: "which image is preferred"
    case .votes0: "votes for the first image"
    case .votes1: "votes for the second image"
    case .images: "images of a ranking"
    case .ranks: "their ranks (lowest is best)"
    case .preferences: "their scores (highest is best)"
    case .image: "one image of a ranking"
    case .rank: "its rank (lowest is best)"
    case .promptID: "the ranking that it belongs to"
    case .weight: "the row's weight"
    }
  }
}
