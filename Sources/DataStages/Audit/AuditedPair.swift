import Catalog

/// A pair in the form that the audit needs.
struct AuditedPair {
  var id: Int
  var prompt: Int
  /// The indices of its images; images with the same bytes have the same index.
  var images: [Int]
  var labels: [Double]
  var weight: Double
  var split: String
  var source: Int
  var row: Int
  var part: Int
  /// The annotator, if the source names one.
  var annotator: Int?

  var isTie: Bool { labels[0] == labels[1] }
  /// The preferred image and the other one; nil for a tie.
  var winner: (Int, Int)? {
    labels[0] > labels[1]
      ? (images[0], images[1]) : labels[0] < labels[1] ? (images[1], images[0]) : nil
  }
  /// A key that does not depend on the sides of the two images.
  var key: [Int] { images[0] <= images[1] ? images : [images[1], images[0]] }
}

/// An image in the form that the audit needs: one per distinct content, whatever its identities.
struct AuditedImage {
  /// Its row in the catalog's table of images.
  var id: Int
  var uid: String
  var sha256: String?
  var byteCount: Int?
  var width: Int?
  var height: Int?
  /// The number of identities with these bytes.
  var identityCount = 1

  /// The identity for display, which is the digest if the data has none.
  var name: String { uid }
}

/// The contents of a catalog, by prompt.
struct AuditedData {
  private(set) var images: [AuditedImage] = []
  private(set) var sourcePaths: [Int: String] = [:]
  /// Sources with rankings, whose rows become several pairs.
  private(set) var rankingSources: Set<Int> = []
  private let catalog: CatalogDatabase
  private var numbers: [Int: Int] = [:]

  init(_ catalog: CatalogDatabase) throws {
    self.catalog = catalog
    for source in try catalog.sources() { sourcePaths[source.id] = source.path }
    rankingSources = Set(
      try catalog.database.rows(
        "SELECT DISTINCT source_id FROM row_group WHERE outcome_count <> row_count"
      ) { try $0[0] as Int })
    var known: [String: Int] = [:]
    var images: [AuditedImage] = []
    var numbers: [Int: Int] = [:]
    try catalog.database.forEachRow(
      "SELECT id, uid, sha256, byte_count, width, height FROM image ORDER BY id"
    ) { row in
      let image = AuditedImage(
        id: try row[0], uid: try row[1], sha256: try row[2], byteCount: try row[3],
        width: try row[4], height: try row[5])
      if let sha256 = image.sha256, let number = known[sha256] {
        images[number].identityCount += 1
        numbers[image.id] = number
        return
      }
      if let sha256 = image.sha256 { known[sha256] = images.count }
      numbers[image.id] = images.count
      images.append(image)
    }
    self.images = images
    self.numbers = numbers
  }

  /// Calls `body` with each prompt and all its pairs, ordered by file and row.
  func forEachPrompt(
    _ body: (_ id: Int, _ text: String, _ pairs: [AuditedPair]) throws -> Void
  ) throws {
    var pairs: [AuditedPair] = []
    var text = ""
    try catalog.database.forEachRow(
      """
      SELECT pair.id, prompt_id, image_0_id, image_1_id, label_0, label_1, weight, split, source_id,
        row, part, user_id, prompt.text
      FROM pair JOIN prompt ON prompt.id = prompt_id
      ORDER BY prompt_id, source_id, row, part
      """
    ) { row in
      let prompt: Int = try row[1]
      if let first = pairs.first, first.prompt != prompt {
        try body(first.prompt, text, pairs)
        pairs.removeAll()
      }
      text = try row[12]
      let images = try [row[2] as Int, row[3] as Int].map { numbers[$0] ?? 0 }
      pairs.append(
        AuditedPair(
          id: try row[0], prompt: prompt, images: images,
          labels: [try row[4], try row[5]], weight: try row[6], split: try row[7],
          source: try row[8], row: try row[9], part: try row[10], annotator: try row[11]))
    }
    if let first = pairs.first { try body(first.prompt, text, pairs) }
  }

  /// Returns the row as written in lists for `ingest.drop`.
  func place(of pair: AuditedPair) -> String {
    let path = sourcePaths[pair.source] ?? ""
    return "\(path):\(pair.row)" + (rankingSources.contains(pair.source) ? ".\(pair.part)" : "")
  }
}
