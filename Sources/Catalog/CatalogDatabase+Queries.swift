import Files

extension CatalogDatabase {
  /// Calls `body` with each image that a pair uses and whose bytes are known, in file order.
  ///
  /// Two identities with the same bytes appear as two images with one digest.
  public func forEachImage(_ body: (ImageRecord) throws -> Void) throws {
    try database.forEachRow(
      """
      SELECT \(Self.imageColumns) FROM source
      CROSS JOIN image ON image.source_id = source.id
      WHERE EXISTS (SELECT 1 FROM pair WHERE image_0_id = image.id)
        OR EXISTS (SELECT 1 FROM pair WHERE image_1_id = image.id)
      ORDER BY source.path, image.row_group, image.row, image.column_name
      """
    ) { try body(Self.image($0)) }
  }

  /// Returns the image with this id, or nil if there is none or its bytes are unknown.
  public func image(id: Int) throws -> ImageRecord? {
    try database.firstRow(
      """
      SELECT \(Self.imageColumns) FROM image JOIN source ON source.id = image.source_id
      WHERE image.id = ?
      """, id, read: Self.image)
  }

  /// Returns the digests of all images and prompts: the possible keys of an encoding cache.
  public func contentDigests() throws -> Set<String> {
    var digests: Set<String> = []
    try database.forEachRow(
      "SELECT sha256 FROM image WHERE sha256 IS NOT NULL UNION ALL SELECT sha256 FROM prompt"
    ) { digests.insert(try $0[0]) }
    return digests
  }

  /// Returns the copied bytes of an image, or nil if they were not copied.
  public func copiedBytes(ofImage id: Int) throws -> [UInt8]? {
    try database.firstRow("SELECT bytes FROM image_copy WHERE image_id = ?", id) { try $0[0] }
  }

  /// Returns the prompts that pairs or lists of a split use, or of all splits, ordered by digest.
  public func prompts(inSplit split: String? = nil) throws -> [PromptRecord] {
    try database.rows(
      """
      SELECT id, text, sha256 FROM prompt
      WHERE EXISTS (SELECT 1 FROM pair WHERE prompt_id = prompt.id AND (?1 IS NULL OR split = ?1))
        OR EXISTS (
          SELECT 1 FROM listed_prompt WHERE prompt_id = prompt.id AND (?1 IS NULL OR split = ?1))
      ORDER BY sha256
      """, split
    ) { try prompt($0) }
  }

  /// Calls `body` with each prompt of a split and all its pairs there.
  ///
  /// Prompts are ordered by digest and pairs by file and row, so that the order depends only on
  /// what was read. The prompts' order is effectively random, yet a new file moves none of the
  /// others.
  public func forEachPromptGroup(
    inSplit split: String, _ body: (PromptGroup) throws -> Void
  ) throws {
    var group: PromptGroup?
    try database.forEachRow(
      """
      SELECT prompt.id, prompt.text, prompt.sha256, \(Self.pairColumns)
      FROM prompt
      CROSS JOIN pair ON pair.prompt_id = prompt.id AND pair.split = ?
      \(Self.pairJoins)
      ORDER BY prompt.sha256, source.path, pair.row, pair.part
      """, split
    ) { row in
      let promptID: Int = try row[0]
      if group?.prompt.id != promptID {
        if let group { try body(group) }
        group = PromptGroup(prompt: try prompt(row), pairs: [])
      }
      group?.pairs.append(try Self.pair(row, from: 3))
    }
    if let group { try body(group) }
  }

  /// Returns the pairs of a prompt in a split, ordered by their file's content and row, wherever
  /// the files lie.
  public func pairs(ofPrompt id: Int, inSplit split: String) throws -> [PairRecord] {
    try database.rows(
      """
      SELECT \(Self.pairColumns) FROM pair \(Self.pairJoins)
      WHERE pair.prompt_id = ? AND pair.split = ?
      ORDER BY source.identity, source.path, pair.row, pair.part
      """, id, split
    ) { try Self.pair($0, from: 0) }
  }

  /// Returns the prompt with this id, or nil if there is none.
  public func prompt(id: Int) throws -> PromptRecord? {
    try database.firstRow("SELECT id, text, sha256 FROM prompt WHERE id = ?", id, read: prompt)
  }

  /// Returns the splits of pairs or listed prompts, in alphabetical order.
  public func splits() throws -> [String] {
    try database.rows("SELECT split FROM pair UNION SELECT split FROM listed_prompt ORDER BY 1") {
      try $0[0]
    }
  }

  /// Returns the prompts that lists assign to a split.
  public func listedPromptIDs(inSplit split: String) throws -> Set<Int> {
    Set(
      try database.rows("SELECT prompt_id FROM listed_prompt WHERE split = ?", split) {
        try $0[0] as Int
      })
  }

  /// Returns all images with these bytes.
  public func imageIDs(sha256: String) throws -> [Int] {
    try database.rows("SELECT id FROM image WHERE sha256 = ? ORDER BY id", sha256) { try $0[0] }
  }

  private static let pairColumns = """
    pair.id, first.id, first.uid, first.sha256, second.id, second.uid, second.sha256,
    pair.label_0, pair.label_1, pair.weight, pair.best_image_uid, pair.ranking_id, source.path,
    pair.row, pair.part
    """

  private static let pairJoins = """
    JOIN image AS first ON first.id = pair.image_0_id
    JOIN image AS second ON second.id = pair.image_1_id
    JOIN source ON source.id = pair.source_id
    """

  private static let imageColumns = """
    image.id, image.uid, image.sha256, image.byte_count, image.width, image.height, source.path,
    image.row_group, image.row, image.column_name, source.image_root
    """

  private static func image(_ row: Row) throws -> ImageRecord {
    ImageRecord(
      id: try row[0], uid: try row[1], sha256: try row[2], byteCount: try row[3],
      width: try row[4], height: try row[5],
      location: ImageLocation(
        sourcePath: try row[6], rowGroup: try row[7], row: try row[8], column: try row[9],
        imageRoot: try row[10]))
  }

  /// Returns a prompt after verifying its text.
  private func prompt(_ row: Row) throws -> PromptRecord {
    let prompt = PromptRecord(id: try row[0], text: try row[1], sha256: try row[2])
    guard SHA256.hexDigest(of: Array(prompt.text.utf8)) == prompt.sha256 else {
      throw CatalogError.damagedRow(
        path: database.path, table: "prompt", row: prompt.id,
        reason: "its text does not match its recorded digest")
    }
    return prompt
  }

  private static func pair(_ row: Row, from column: Int) throws -> PairRecord {
    PairRecord(
      id: try row[column],
      image0: PairedImage(
        id: try row[column + 1], uid: try row[column + 2], sha256: try row[column + 3]),
      image1: PairedImage(
        id: try row[column + 4], uid: try row[column + 5], sha256: try row[column + 6]),
      label0: try row[column + 7], label1: try row[column + 8], weight: try row[column + 9],
      bestImageUID: try row[column + 10], rankingID: try row[column + 11],
      sourcePath: try row[column + 12], row: try row[column + 13], part: try row[column + 14])
  }
}
