/// The kinds of findings in preference data.
enum AuditKind: String, CaseIterable {
  case ties
  case contradictions
  case cycles
  case repeated = "repeated_pairs"
  case sameImage = "same_image"
  case nearlySameImage = "nearly_same_image"
  case sharedPrompts = "prompts_in_train_and_held_out"
  case sharedImages = "images_in_train_and_held_out"
  case emptyCaptions = "empty_captions"
  case unsafeCaptions = "unsafe_captions"
  case differentSizes = "different_sizes"
  case sharedBytes = "images_with_several_identities"
  case nearDuplicates = "near_duplicate_images"

  var title: String {
    switch self {
    case .ties: "Ties"
    case .contradictions: "Contradictions"
    case .cycles: "Cycles"
    case .repeated: "Repeated pairs"
    case .sameImage: "An image compared with itself"
    case .nearlySameImage: "Two images that look identical"
    case .sharedPrompts: "Prompts in train and in a held-out split"
    case .sharedImages: "Images in train and in a held-out split"
    case .emptyCaptions: "Empty captions"
    case .unsafeCaptions: "Captions with unsafe words"
    case .differentSizes: "Two images of different sizes"
    case .sharedBytes: "Images with several identities"
    case .nearDuplicates: "Near-duplicate images"
    }
  }

  var explanation: String {
    switch self {
    case .ties: "Neither image is preferred: the pair teaches that both are equally good."
    case .contradictions:
      "For the same prompt, each of the two images is preferred to the other in some row."
    case .cycles:
      "A prompt's images are preferred in a cycle: each to the next and the last to the first, so "
        + "that no ranking fits. Where rows contradict each other the majority counts."
    case .repeated: "The same prompt, images and label occur in an earlier row."
    case .sameImage: "Both images have the same bytes, so no preference can be learned."
    case .nearlySameImage: "The two images are visually indistinguishable."
    case .sharedPrompts:
      "Accuracy on held-out prompts is overestimated if training has seen them."
    case .sharedImages:
      "Accuracy on held-out images is overestimated if training has seen them or near-duplicates."
    case .emptyCaptions: "Without a prompt there is nothing to condition on."
    case .unsafeCaptions:
      "Found with a short word list: review the matches, and do not rely on it as a filter."
    case .differentSizes: "The preference may be for the size, which would then be learned."
    case .sharedBytes: "The same bytes occur under several identities."
    case .nearDuplicates: "Images with different bytes that are visually indistinguishable."
    }
  }

  /// Whether it concerns images rather than pairs, which have a prompt.
  var isOfImages: Bool { self == .sharedBytes || self == .nearDuplicates }

  /// The unit that it counts.
  var unit: String { isOfImages ? "images" : "pairs" }

  /// A setting that drops all of its rows.
  var setting: String? { self == .ties ? "ingest.ties=drop" : nil }
  /// Whether a list of rows for `ingest.drop` is written.
  var hasList: Bool {
    switch self {
    case .ties, .sharedBytes, .nearDuplicates: false
    default: true
    }
  }
}

/// The count of a kind of finding, its locations and first examples.
struct AuditFinding {
  struct Example {
    var place: String
    var prompt: String
    /// The indices of the pair's images.
    var images: [Int]
    var note: String
  }

  static let exampleCount = 6

  let kind: AuditKind
  private(set) var count = 0
  private(set) var examples: [Example] = []
  /// The rows that `ingest.drop` would leave out.
  private(set) var locations: [String] = []

  init(_ kind: AuditKind) { self.kind = kind }

  mutating func add(_ example: Example) {
    count += 1
    if examples.count < Self.exampleCount { examples.append(example) }
    if kind.hasList { locations.append(example.place) }
  }
}
