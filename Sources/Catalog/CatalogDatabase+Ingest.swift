import Files

extension CatalogDatabase {
  /// The files that rows were read from, by path.
  public func sources() throws -> [SourceRecord] {
    try database.rows(
      """
      SELECT id, path, identity, row_count, row_group_count, image_0_column, image_1_column
      FROM source ORDER BY path
      """
    ) { row in
      SourceRecord(
        id: try row[0], path: try row[1], identity: try row[2], rowCount: try row[3],
        rowGroupCount: try row[4], image0Column: try row[5], image1Column: try row[6])
    }
  }

  /// Records a file before its first row group; returns its id.
  public func addSource(
    path: String, identity: String, rowCount: Int, rowGroupCount: Int, image0Column: String?,
    image1Column: String?
  ) throws -> Int {
    try database.run(
      """
      INSERT INTO source
        (path, identity, row_count, row_group_count, image_0_column, image_1_column)
      VALUES (?, ?, ?, ?, ?, ?)
      """, path, identity, rowCount, rowGroupCount, image0Column, image1Column)
    return database.lastInsertedID
  }

  /// The row groups of a file that are in already.
  public func recordedRowGroups(ofSource id: Int) throws -> Set<Int> {
    Set(
      try database.rows("SELECT ordinal FROM row_group WHERE source_id = ?", id) {
        try $0[0] as Int
      })
  }

  /// Records a row group, all or nothing.
  ///
  /// One that is in already changes nothing. A pair whose image has an identity that was seen with
  /// other bytes becomes a reject.
  ///
  /// - Returns: the number of rows that were rejected, those of `contents` included.
  @discardableResult
  public func record(_ contents: RowGroupContents, of source: SourceRecord) throws -> Int {
    precondition(
      contents.pairs.count + contents.prompts.count + contents.rejects.count == contents.rowCount,
      "\(contents.rowCount) rows, but \(contents.pairs.count) pairs, \(contents.prompts.count) "
        + "prompts and \(contents.rejects.count) rejects")
    try readImageIDsByUID()
    do {
      return try database.transaction { try insert(contents, of: source) }
    } catch {
      // It names images that were not inserted after all.
      imageIDsByUID = nil
      throw error
    }
  }

  private func readImageIDsByUID() throws {
    guard imageIDsByUID == nil else { return }
    var ids: [String: Int] = [:]
    try database.forEachRow("SELECT uid, id FROM image") { ids[try $0[0]] = try $0[1] as Int }
    imageIDsByUID = ids
  }

  private func insert(_ contents: RowGroupContents, of source: SourceRecord) throws -> Int {
    try database.run(
      "INSERT OR IGNORE INTO row_group (source_id, ordinal, row_count) VALUES (?, ?, ?)",
      source.id, contents.ordinal, contents.rowCount)
    guard database.changedRowCount > 0 else { return 0 }
    var rejects = contents.rejects
    for pair in contents.pairs {
      let reject = try insert(pair, rowGroup: contents.ordinal, of: source)
      if let reject { rejects.append(reject) }
    }
    for prompt in contents.prompts {
      try database.run(
        "INSERT INTO listed_prompt (source_id, row, prompt_id, split) VALUES (?, ?, ?, ?)",
        source.id, prompt.row, try promptID(prompt.text), prompt.split)
    }
    for reject in rejects { try insert(reject, stage: "ingest", of: source) }
    return rejects.count
  }

  /// Moves every pair that uses an image to the rejects, as when its bytes cannot be decoded.
  ///
  /// - Returns: the number of pairs moved.
  @discardableResult
  public func rejectPairs(
    usingImage id: Int, stage: String, code: String, reason: String
  ) throws -> Int {
    try database.transaction {
      try database.run(
        """
        INSERT INTO reject (source_id, file, row, column_name, stage, code, reason)
        SELECT source.id, source.path, pair.row,
          iif(pair.image_0_id = ?1, source.image_0_column, source.image_1_column), ?2, ?3, ?4
        FROM pair JOIN source ON source.id = pair.source_id
        WHERE pair.image_0_id = ?1 OR pair.image_1_id = ?1
        """, id, stage, code, reason)
      try setAside("image_0_id = ?1 OR image_1_id = ?1", id)
      return database.changedRowCount
    }
  }

  /// Inserts a pair and what it uses, or returns why it cannot be used.
  private func insert(
    _ pair: RowGroupContents.Pair, rowGroup: Int, of source: SourceRecord
  ) throws -> RowGroupContents.Reject? {
    let first = try knownImage(pair.image0.uid)
    if let reject = conflict(pair.image0, first?.sha256, row: pair.row) { return reject }
    let isTwice = pair.image0.uid == pair.image1.uid
    let second =
      try isTwice
      ? KnownImage(id: first?.id, sha256: first?.sha256 ?? pair.image0.content?.sha256)
      : knownImage(pair.image1.uid)
    if let reject = conflict(pair.image1, second?.sha256, row: pair.row) { return reject }

    let firstID = try imageID(pair.image0, first, pair, rowGroup, source.id)
    let secondID = try isTwice ? firstID : imageID(pair.image1, second, pair, rowGroup, source.id)
    let origin = pair.provenance
    try database.run(
      """
      INSERT INTO pair (
        prompt_id, image_0_id, image_1_id, label_0, label_1, weight, split, source_id, row_group,
        row, best_image_uid, ranking_id, user_id, model_0, model_1, created_at, image_0_url,
        image_1_url)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      try promptID(pair.prompt), firstID, secondID, pair.label0, pair.label1, pair.weight,
      pair.split, source.id, rowGroup, pair.row, origin.bestImageUID, origin.rankingID,
      origin.userID, origin.model0, origin.model1, origin.createdAt, origin.image0URL,
      origin.image1URL)
    return nil
  }

  private func insert(
    _ reject: RowGroupContents.Reject, stage: String, of source: SourceRecord
  ) throws {
    try database.run(
      """
      INSERT INTO reject (source_id, file, row, column_name, stage, code, reason)
      VALUES (?, ?, ?, ?, ?, ?, ?)
      """, source.id, source.path, reject.row, reject.column, stage, reject.code, reject.reason)
  }

  private func promptID(_ text: String) throws -> Int {
    let known = try database.firstRow("SELECT id FROM prompt WHERE text = ?", text) {
      try $0[0] as Int
    }
    if let known { return known }
    try database.run(
      "INSERT INTO prompt (text, sha256) VALUES (?, ?)", text,
      SHA256.hexDigest(of: Array(text.utf8)))
    return database.lastInsertedID
  }

  /// What the catalog has of an image; `sha256` is nil if it came without bytes.
  private struct KnownImage {
    var id: Int?
    var sha256: String?
  }

  private func knownImage(_ uid: String) throws -> KnownImage? {
    guard let id = imageIDsByUID?[uid] else { return nil }
    return try database.firstRow("SELECT sha256 FROM image WHERE id = ?", id) {
      KnownImage(id: id, sha256: try $0[0])
    }
  }

  private func conflict(
    _ image: RowGroupContents.Image, _ knownDigest: String?, row: Int
  ) -> RowGroupContents.Reject? {
    guard let content = image.content, let knownDigest, knownDigest != content.sha256 else {
      return nil
    }
    return RowGroupContents.Reject(
      row: row, column: content.column, code: "conflicting-image",
      reason: "image \(image.uid) has other bytes here than elsewhere")
  }

  /// The id of an image, which is inserted if it is new; one without bytes gets them if it can.
  private func imageID(
    _ image: RowGroupContents.Image, _ known: KnownImage?, _ pair: RowGroupContents.Pair,
    _ rowGroup: Int, _ source: Int
  ) throws -> Int {
    if let id = known?.id, known?.sha256 != nil || image.content == nil { return id }
    let content = image.content
    // An image that came without bytes is found by its id and gets them.
    try database.run(
      """
      INSERT INTO image
        (id, uid, sha256, byte_count, width, height, source_id, row_group, row, column_name)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      ON CONFLICT (id) DO UPDATE SET
        sha256 = excluded.sha256, byte_count = excluded.byte_count, width = excluded.width,
        height = excluded.height, source_id = excluded.source_id,
        row_group = excluded.row_group, row = excluded.row, column_name = excluded.column_name
      """,
      known?.id, image.uid, content?.sha256, content?.byteCount, content?.width, content?.height,
      content.map { _ in source }, content.map { _ in rowGroup }, content.map { _ in pair.row },
      content?.column)
    let id = known?.id ?? database.lastInsertedID
    imageIDsByUID?[image.uid] = id
    if let copy = content?.copy {
      try database.run("INSERT INTO image_copy (image_id, bytes) VALUES (?, ?)", id, copy)
    }
    return id
  }
}
