import Catalog
import Files

/// The contents of one row: images generated for a prompt, and their comparisons.
///
/// Validated, except for the images' bytes.
struct Record {
  var caption: String
  var images: [RecordImage]
  var comparisons: [Comparison]
  var provenance: RowGroupContents.Provenance

  /// The maximum length of a caption in bytes, also enforced by the tokenizer.
  static let captionByteLimit = 64 << 10
  /// The maximum number of images in a ranking: more make too many pairs.
  static let imageLimit = 64
}

/// An image that a row contains or names.
struct RecordImage {
  var field: RecordField
  /// Its column, with the index in brackets for a list, as in `generations[2]`.
  var column: String
  /// Nil if its identity is the digest of its bytes.
  var uid: String?
  /// Nil for a source without images.
  var image: EncodedImage?
  /// Why it cannot be used.
  var rejection: RowRejection?
  /// Its location if it is in another row.
  var place: (rowGroup: Int, row: Int)?
}

/// Two images of a row, by index.
struct Comparison: Equatable {
  var first: Int
  var second: Int
  /// (1, 0), (0, 1) or (0.5, 0.5); (0, 0) if a row without a label has other values.
  var label0: Double
  var label1: Double
  var weight: Double

  var isTie: Bool { label0 == 0.5 && label1 == 0.5 }
}

extension Record {
  /// Reads a row, applies the filters, and only then extracts the images' bytes.
  ///
  /// - Parameters:
  ///   - select: throws a rejection of an unselected row, by its caption and its images' identities
  ///   - filter: throws a rejection of a filtered pair
  init(
    _ values: some RowValues, _ source: any RecordFile,
    select: (_ caption: String, _ uids: [String]) throws -> Void,
    filter: (RowLabels) throws -> Void
  ) throws {
    caption = try Self.caption(values)
    if let fields = source.plan.form.imageFields {
      images = fields.map { RecordImage(field: $0, column: source.plan.name(of: $0)) }
      if source.hasUIDs {
        for (index, field) in RecordField.uids.enumerated() {
          images[index].uid = try Self.uid(values, field, hasImages: source.hasImages)
        }
      }
      try select(caption, images.compactMap(\.uid))
      let labels = try RowLabels(values, source.plan)
      try filter(labels)
      let weight = try Self.weight(values)
      comparisons = [
        Comparison(
          first: 0, second: 1, label0: labels.label0, label1: labels.label1,
          weight: weight * labels.weight)
      ]
      provenance = try RowGroupContents.Provenance(values)
      guard source.hasImages else { return }
      for index in images.indices { images[index].image = try Self.image(values, fields[index]) }
    } else {
      try select(caption, [])
      let ranks = try Self.ranks(values)
      guard let found = try values.images(.images) else { throw RowRejection.missing(.images) }
      guard found.count == ranks.count else {
        throw RowRejection(
          .images, "bad-ranking",
          "\(Spelled.count(found.count, of: "images")), but \(Spelled.count(ranks.count, of: "ranks"))"
        )
      }
      guard found.count >= 2 else {
        throw RowRejection(
          .images, "bad-ranking",
          "\(Spelled.count(found.count, of: "images")), and a ranking needs at least 2")
      }
      guard found.count <= Self.imageLimit else {
        throw RowRejection(
          .images, "bad-ranking", "\(found.count) images, more than \(Self.imageLimit)")
      }
      images = found.enumerated().map { index, image in
        let place = values.place(ofImage: index)
        let field: RecordField = place == nil ? .images : .image
        let column = source.plan.name(of: field)
        var record = RecordImage(
          field: field, column: place == nil ? "\(column)[\(index)]" : column, place: place)
        do throws(RowRejection) { record.image = try image.get() } catch {
          record.rejection = error
        }
        return record
      }
      comparisons = Self.comparisons(of: ranks, weight: try Self.weight(values))
      provenance = try RowGroupContents.Provenance(values)
    }
  }

  /// Returns all pairs of images in a ranking: the lower rank is preferred, equal ranks tie.
  ///
  /// The pairs share the weight of the row, so that a long ranking counts no more than a short one.
  static func comparisons(of ranks: [Double], weight: Double) -> [Comparison] {
    var comparisons: [Comparison] = []
    for first in ranks.indices {
      for second in ranks.indices.dropFirst(first + 1) {
        let (a, b) = (ranks[first], ranks[second])
        let label = a == b ? 0.5 : a < b ? 1.0 : 0.0
        comparisons.append(
          Comparison(
            first: first, second: second, label0: label, label1: 1 - label, weight: weight))
      }
    }
    let share = 1 / Double(max(1, comparisons.count))
    for index in comparisons.indices { comparisons[index].weight *= share }
    return comparisons
  }

  static func caption(_ values: some RowValues) throws -> String {
    guard let caption = try values.text(.caption) else { throw RowRejection.missing(.caption) }
    guard caption.utf8.count <= captionByteLimit else {
      throw RowRejection(
        .caption, "long-caption", "\(caption.utf8.count) bytes, more than \(captionByteLimit)")
    }
    return caption
  }

  private static func weight(_ values: some RowValues) throws -> Double {
    let examples = try values.number(.examplesPerPrompt) ?? 1
    guard examples >= 1, examples <= 1e9 else {
      throw RowRejection(
        .examplesPerPrompt, "bad-count", "\(examples) rows per prompt, expected at least 1")
    }
    let weight = try values.number(.weight) ?? 1
    guard weight > 0, weight <= 1e9 else {
      throw RowRejection(.weight, "bad-weight", "\(weight), expected a number above 0")
    }
    return weight / examples
  }

  /// Returns the ranks, 1 being the best; preferences, of which the highest is best, are ranked in
  /// reverse.
  private static func ranks(_ values: some RowValues) throws -> [Double] {
    let ranks = try values.numbers(.ranks) ?? values.numbers(.preferences)?.map { -$0 }
    guard let ranks else { throw RowRejection.missing(.ranks) }
    guard ranks.allSatisfy(\.isFinite) else {
      throw RowRejection(.ranks, "bad-ranking", "a rank is not a finite number")
    }
    return ranks
  }

  /// Nil: the identity is the SHA-256 of the image's bytes.
  private static func uid(
    _ values: some RowValues, _ field: RecordField, hasImages: Bool
  ) throws -> String? {
    if let uid = try values.text(field), !uid.isEmpty { return uid }
    guard hasImages else { throw RowRejection.missing(field) }
    return nil
  }

  private static func image(
    _ values: some RowValues, _ field: RecordField
  ) throws -> EncodedImage {
    guard let image = try values.image(field) else { throw RowRejection.missing(field) }
    return image
  }
}

extension RowGroupContents.Provenance {
  init(_ values: some RowValues) throws {
    self.init()
    bestImageUID = try Self.ifReadable { try values.text(.bestImageUID) }
    rankingID = try Self.ifReadable { try values.number(.rankingID) }.flatMap { Int(exactly: $0) }
    userID = try Self.ifReadable { try values.choice(.userID) }.map(Self.number)
    model0 = try Self.ifReadable { try values.text(.model0) }
    model1 = try Self.ifReadable { try values.text(.model1) }
    createdAt = try Self.ifReadable { try values.text(.createdAt) }
    image0URL = try Self.ifReadable { try values.text(.image0URL) }
    image1URL = try Self.ifReadable { try values.text(.image1URL) }
  }

  /// Returns an annotator's number, or else one derived from the digest of the name.
  private static func number(_ name: String) -> Int {
    Int(name)
      ?? SHA256.digest(of: Array(name.utf8)).hexadecimal.prefix(12).reduce(0) {
        $0 << 4 | ($1.hexDigitValue ?? 0)
      }
  }

  /// Returns nil for an invalid value, since no stage computes with it.
  private static func ifReadable<Value>(_ read: () throws -> Value?) throws -> Value? {
    do {
      return try read()
    } catch is RowRejection {
      return nil
    }
  }
}
