import Catalog

/// What a source can say of a comparison, under the names of the published data.
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

  /// Without these a source holds no comparisons.
  static let required: [RecordField] = [.caption, .label0, .label1]
  /// Where a source has neither, the digest of an image's bytes is its identity.
  static let uids: [RecordField] = [.image0UID, .image1UID]
  static let images: [RecordField] = [.image0, .image1]

  enum Kind { case text, number, truth, image }

  var kind: Kind {
    switch self {
    case .image0, .image1: .image
    case .label0, .label1, .examplesPerPrompt, .rankingID, .userID: .number
    case .hasLabel, .areDifferent: .truth
    case .caption, .image0UID, .image1UID, .bestImageUID, .model0, .model1, .createdAt,
      .image0URL, .image1URL:
      .text
    }
  }

  /// Whether no stage computes with it: what cannot be read of it costs no row.
  var isProvenance: Bool {
    switch self {
    case .bestImageUID, .rankingID, .userID, .model0, .model1, .createdAt, .image0URL, .image1URL:
      true
    default: false
    }
  }
}

/// The values of one row; a field that the source does not have is nil everywhere.
protocol RowValues {
  /// Each throws a ``RowFault`` for a value that is not of the kind.
  func text(_ field: RecordField) throws -> String?
  func number(_ field: RecordField) throws -> Double?
  func truth(_ field: RecordField) throws -> Bool?
  func image(_ field: RecordField) throws -> EncodedImage?
}

/// Why one row cannot be used, or is not wanted.
struct RowFault: Error {
  var field: RecordField?
  var code: String
  var reason: String

  init(_ field: RecordField?, _ code: String, _ reason: String) {
    self.field = field
    self.code = code
    self.reason = reason
  }

  /// Codes of rows that a filter leaves out on purpose begin so.
  static let filterPrefix = "filtered-"

  static func filtered(_ field: RecordField, _ what: String, _ reason: String) -> RowFault {
    RowFault(field, filterPrefix + what, reason)
  }

  static func missing(_ field: RecordField) -> RowFault {
    RowFault(field, "missing-value", "no value")
  }
}

/// One comparison, checked except for its images.
struct ComparisonRecord {
  var caption: String
  /// Nil where the images' digests are their identities.
  var image0UID: String?
  var image1UID: String?
  var label0: Double
  var label1: Double
  var weight: Double
  var image0: EncodedImage?
  var image1: EncodedImage?
  var provenance: RowGroupContents.Provenance

  /// Captions of more bytes are refused, by the tokenizer too.
  static let captionByteLimit = 64 << 10

  /// Reads a row, asks the filters, and only then takes the images' bytes.
  init(
    _ values: some RowValues, hasUIDs: Bool, hasImages: Bool, filter: (RowLabels) throws -> Void
  ) throws {
    caption = try Self.caption(values)
    if hasUIDs {
      image0UID = try Self.uid(values, .image0UID)
      image1UID = try Self.uid(values, .image1UID)
    }
    let labels = try RowLabels(values)
    try filter(labels)
    label0 = labels.label0
    label1 = labels.label1
    let examples = try values.number(.examplesPerPrompt) ?? 1
    guard examples >= 1, examples <= 1e9 else {
      throw RowFault(
        .examplesPerPrompt, "bad-count", "\(examples) rows cannot share the prompt")
    }
    weight = 1 / examples
    provenance = try RowGroupContents.Provenance(values)
    if hasImages {
      image0 = try Self.image(values, .image0)
      image1 = try Self.image(values, .image1)
    }
  }

  static func caption(_ values: some RowValues) throws -> String {
    guard let caption = try values.text(.caption) else { throw RowFault.missing(.caption) }
    guard caption.utf8.count <= captionByteLimit else {
      throw RowFault(
        .caption, "long-caption", "\(caption.utf8.count) bytes, more than \(captionByteLimit)")
    }
    return caption
  }

  private static func uid(_ values: some RowValues, _ field: RecordField) throws -> String {
    guard let uid = try values.text(field), !uid.isEmpty else { throw RowFault.missing(field) }
    return uid
  }

  private static func image(
    _ values: some RowValues, _ field: RecordField
  ) throws -> EncodedImage {
    guard let image = try values.image(field) else { throw RowFault.missing(field) }
    return image
  }
}

/// What a row says of which image is better.
struct RowLabels {
  /// (1, 0), (0, 1) or (0.5, 0.5); (0, 0) where a row without a label holds something else.
  let label0: Double
  let label1: Double
  let hasLabel: Bool
  let areDifferent: Bool

  var isTie: Bool { label0 == 0.5 && label1 == 0.5 }

  init(_ values: some RowValues) throws {
    hasLabel = try values.truth(.hasLabel) ?? true
    areDifferent = try values.truth(.areDifferent) ?? true
    let first = try values.number(.label0)
    let second = try values.number(.label1)
    if let first, let second, first + second == 1, [0, 0.5, 1].contains(first) {
      // Also without a label: the published trainer uses what such rows hold.
      (label0, label1) = (first, second)
      return
    }
    guard hasLabel else {
      (label0, label1) = (0, 0)
      return
    }
    guard let first else { throw RowFault.missing(.label0) }
    guard let second else { throw RowFault.missing(.label1) }
    throw RowFault(
      .label0, "bad-label", "(\(first), \(second)) is none of (1, 0), (0, 1) and (0.5, 0.5)")
  }
}

extension RowGroupContents.Provenance {
  init(_ values: some RowValues) throws {
    self.init()
    bestImageUID = try Self.ifReadable { try values.text(.bestImageUID) }
    rankingID = try Self.ifReadable { try values.number(.rankingID) }.flatMap { Int(exactly: $0) }
    userID = try Self.ifReadable { try values.number(.userID) }.flatMap { Int(exactly: $0) }
    model0 = try Self.ifReadable { try values.text(.model0) }
    model1 = try Self.ifReadable { try values.text(.model1) }
    createdAt = try Self.ifReadable { try values.text(.createdAt) }
    image0URL = try Self.ifReadable { try values.text(.image0URL) }
    image1URL = try Self.ifReadable { try values.text(.image1URL) }
  }

  /// Nil for a value that is not what it should be, since no stage computes with it.
  private static func ifReadable<Value>(_ read: () throws -> Value?) throws -> Value? {
    do {
      return try read()
    } catch is RowFault {
      return nil
    }
  }
}
