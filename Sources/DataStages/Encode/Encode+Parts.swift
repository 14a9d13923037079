import Catalog
import PipelineCore

extension Encode {
  func write(_ output: Output, of item: Item, to writer: inout OutputWriter) {
    writer.add(encodings: output.values)
    writer.add(output.rejections) { writer, rejection in
      writer.add(rejection.content)
      writer.add(rejection.uid)
      writer.add(rejection.code)
      writer.add(rejection.reason)
    }
  }

  func output(of item: Item, from reader: inout OutputReader) throws -> Output {
    var output = Output()
    let encoderIdentity = try currentEncoderIdentity()
    output.values = try reader.encodings(
      from: item.isImages ? encoderIdentity.image : encoderIdentity.text)
    output.rejections = try reader.list { reader throws(BadOutput) in try RejectedImage(&reader) }
    try item.requireContents(
      output.values.map(\.content) + output.rejections.map(\.content), in: databases().catalog)
    return output
  }

  func together(_ body: () throws -> Void) throws {
    let databases = try databases()
    // The cache's is committed first: what is rejected shows again, what is encoded is not done again.
    try databases.catalog.database.transaction {
      try databases.cache.database.transaction(body)
    }
  }
}

extension Encode.RejectedImage {
  fileprivate init(_ reader: inout OutputReader) throws(BadOutput) {
    content = try reader.text()
    uid = try reader.text()
    code = try reader.text()
    reason = try reader.text()
  }
}

extension OutputWriter {
  /// What an encoder has made, by content.
  mutating func add(encodings: [(content: String, bytes: [UInt8])]) {
    add(encodings) { writer, encoding in
      writer.add(encoding.content)
      writer.add(encoding.bytes)
    }
  }
}

extension OutputReader {
  mutating func encodings(
    from encoder: CacheDatabase.Encoder
  ) throws(BadOutput) -> [(content: String, bytes: [UInt8])] {
    try list { reader throws(BadOutput) in
      let encoding = (content: try reader.text(), bytes: try reader.bytes())
      guard encoding.bytes.count == encoder.byteCount else {
        throw BadOutput(
          "\(encoding.bytes.count) bytes for an encoding of \(encoder.byteCount)")
      }
      return encoding
    }
  }
}

extension EncodePlan.Block {
  /// Refuses contents that are not those of the block, each once.
  func requireContents(_ found: [String], in catalog: CatalogDatabase) throws {
    let wanted: [String] =
      switch contents {
      case .images(let ids): try ids.compactMap { try catalog.image(id: $0)?.sha256 }
      case .prompts(let prompts): prompts.map(\.sha256)
      }
    guard found.sorted() == wanted.sorted() else {
      throw BadOutput("it belongs to other images or prompts")
    }
  }
}
