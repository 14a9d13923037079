import Files

extension CatalogDatabase {
  /// Returns the files that rows were read from, by path.
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
    image1Column: String?, imageRoot: String? = nil
  ) throws -> Int {
    try database.run(
      """
      INSERT INTO source
        (path, identity, row_count, row_group_count, image_0_column, image_1_column, image_root)
      VALUES (?, ?, ?, ?, ?, ?, ?)
      """, path, identity, rowCount, rowGroupCount, image0Column, image1Column, imageRoot)
    return database.lastInsertedID
  }

  /// Replaces the identity of a file's unchanged content.
  public func setIdentity(_ identity: String, ofSource path: String) throws {
    try database.run("UPDATE source SET identity = ? WHERE path = ?", identity, path)
  }

  /// Returns the recorded row groups of a file.
  public func recordedRowGroups(ofSource id: Int) throws -> Set<Int> {
    Set(
      try database.rows("SELECT ordinal FROM row_group WHERE source_id = ?", id) {
        try $0[0] as Int
      })
  }

  /// Records a row group, all or nothing.
  ///
  /// A row group that is already recorded changes nothing. A pair whose image has an identity that
  /// was seen with other bytes becomes a reject.
  ///
  /// - Returns: the number of rejected rows, including those of `contents`.
  @discardableResult
  public func record(_ contents: RowGroupContents, of source: SourceRecord) throws -> Int {
    let outcomeCount = contents.outcomeCount ?? contents.rowCount
    precondition(
      contents.pairs.count + contents.prompts.count + contents.rejections.count == outcomeCount,
      "\(outcomeCount) outcomes, but \(contents.pairs.count) pairs, \(contents.prompts.count) "
        + "prompts and \(contents.rejections.count) rejects")
    if knownIDs == nil { knownIDs = try KnownIDs(database) }
    do {
      return try database.transaction { try insert(contents, of: source) }
    } catch {
      // They refer to rows that were not inserted after all.
      knownIDs = nil
      throw error
    }
  }

  private func insert(_ contents: RowGroupContents, of source: SourceRecord) throws -> Int {
    try database.run(
      """
      INSERT OR IGNORE INTO row_group (source_id, ordinal, row_count, outcome_count)
      VALUES (?, ?, ?, ?)
      """, source.id, contents.ordinal, contents.rowCount,
      contents.outcomeCount ?? contents.rowCount)
    guard database.changedRowCount > 0 else { return 0 }
    var rejections = contents.rejections
    for pair in contents.pairs {
      let rejection = try insert(pair, rowGroup: contents.ordinal, of: source)
      if let rejection { rejections.append(rejection) }
    }
    for prompt in contents.prompts {
      try database.run(
        "INSERT INTO listed_prompt (source_id, row, prompt_id, split) VALUES (?, ?, ?, ?)",
        source.id, prompt.row, try promptID(prompt.text), prompt.split)
    }
    for rejection in rejections { try insert(rejection, stage: "ingest", of: source) }
    return rejections.count
  }

  /// Moves every pair that uses an image to the rejects, for example if its bytes cannot be
  /// decoded.
  ///
  /// - Returns: the number of pairs moved.
  @discardableResult
  public func rejectPairs(
    usingImage id: Int, stage: String, code: String, reason: String
  ) throws -> Int {
    try database.transaction {
      try database.run(
        """
        INSERT INTO reject (source_id, file, row, part, column_name, stage, code, reason)
        SELECT source.id, source.path, pair.row, pair.part,
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
  ) throws -> RowGroupContents.Rejection? {
    let place = Place(source: source.id, rowGroup: rowGroup, row: pair.row, part: pair.part)
    let first = IncomingImage(pair.image0)
    let second = IncomingImage(pair.image1)
    let knownFirst = knownIDs?.images[first.key]
    if let rejection = conflict(first, knownFirst?.content, place) { return rejection }
    let isTwice = first.key == second.key
    let secondContent =
      isTwice ? knownFirst?.content ?? first.content : knownIDs?.images[second.key]?.content
    if let rejection = conflict(second, secondContent, place) { return rejection }

    let firstID = try imageID(first, place)
    let secondID = try isTwice ? firstID : imageID(second, place)
    let origin = pair.provenance
    try database.run(
      """
      INSERT INTO pair (
        prompt_id, image_0_id, image_1_id, label_0, label_1, weight, split, source_id, row_group,
        row, best_image_uid, ranking_id, user_id, model_0, model_1, created_at, image_0_url,
        image_1_url, part)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
      """,
      try promptID(pair.prompt), firstID, secondID, pair.label0, pair.label1, pair.weight,
      pair.split, source.id, rowGroup, pair.row, origin.bestImageUID, origin.rankingID,
      origin.userID, origin.model0, origin.model1, origin.createdAt, origin.image0URL,
      origin.image1URL, pair.part)
    return nil
  }

  private func insert(
    _ rejection: RowGroupContents.Rejection, stage: String, of source: SourceRecord
  ) throws {
    try database.run(
      """
      INSERT INTO reject (source_id, file, row, part, column_name, stage, code, reason)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)
      """, source.id, source.path, rejection.row, rejection.part, rejection.column, stage,
      rejection.code,
      rejection.reason)
  }

  private func promptID(_ text: String) throws -> Int {
    let digest = SHA256.digest(of: Array(text.utf8))
    let key = KnownIDs.Key(digest: digest)
    if let id = knownIDs?.prompts[key] { return id }
    try database.run(
      "INSERT INTO prompt (text, sha256) VALUES (?, ?)", text, digest.hexadecimal)
    let id = database.lastInsertedID
    knownIDs?.prompts[key] = id
    return id
  }

  private struct Place {
    let source: Int
    let rowGroup: Int
    let row: Int
    let part: Int
  }

  private struct IncomingImage {
    let image: RowGroupContents.Image
    let key: KnownIDs.Key
    /// The key of the digest of its bytes, if it comes with them.
    let content: KnownIDs.Key?

    init(_ image: RowGroupContents.Image) {
      self.image = image
      key = KnownIDs.Key(of: image.uid)
      content = image.content.map { KnownIDs.Key(of: $0.sha256) }
    }
  }

  private func conflict(
    _ incoming: IncomingImage, _ known: KnownIDs.Key?, _ place: Place
  ) -> RowGroupContents.Rejection? {
    guard let content = incoming.content, let known, known != content else { return nil }
    return RowGroupContents.Rejection(
      row: place.row, part: place.part, column: incoming.image.content?.column,
      code: "conflicting-image",
      reason: "image \(incoming.image.uid) has different bytes in another row")
  }

  /// Returns the id of an image, inserting it if it is new; one without bytes gets them if
  /// possible.
  private func imageID(_ incoming: IncomingImage, _ place: Place) throws -> Int {
    let known = knownIDs?.images[incoming.key]
    let content = incoming.image.content
    if let known, known.content != nil || content == nil { return known.id }
    let location = content.map { $0.place ?? (place.rowGroup, place.row) }
    // An image recorded without bytes is found by its id and gets them.
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
      known?.id, incoming.image.uid, content?.sha256, content?.byteCount, content?.width,
      content?.height, content.map { _ in place.source }, location?.rowGroup, location?.row,
      content?.column)
    let id = known?.id ?? database.lastInsertedID
    knownIDs?.images[incoming.key] = KnownIDs.Image(id: id, content: incoming.content)
    if let copy = content?.copy {
      try database.run("INSERT INTO image_copy (image_id, bytes) VALUES (?, ?)", id, copy)
    }
    return id
  }
}
