import Catalog
import PipelineCore

struct EncodeDivision: Division {
  let identity: EncoderIdentity
  let databases: Deferred<EncodeDatabases>

  func position(of item: EncodePlan.Block) -> Int? { item.position }
  func key(of item: EncodePlan.Block) -> String { item.key }

  func write(
    _ output: EncodeWork.Output, of item: EncodePlan.Block, to writer: inout OutputWriter
  ) {
    writer.add(encodings: output.values)
    writer.add(output.rejections) { writer, rejection in
      writer.add(rejection.content)
      writer.add(rejection.uid)
      writer.add(rejection.code)
      writer.add(rejection.reason)
    }
  }

  func output(
    of item: EncodePlan.Block, from reader: inout OutputReader
  ) throws -> EncodeWork.Output {
    var output = EncodeWork.Output()
    output.values = try reader.encodings(from: identity.encoder(of: item))
    output.rejections = try reader.list { reader throws(BadOutput) in
      try EncodeWork.RejectedImage(&reader)
    }
    try item.requireContents(
      output.values.map(\.content) + output.rejections.map(\.content), in: databases().catalog)
    return output
  }
}

extension EncodeWork.RejectedImage {
  fileprivate init(_ reader: inout OutputReader) throws(BadOutput) {
    content = try reader.text()
    uid = try reader.text()
    code = try reader.text()
    reason = try reader.text()
  }
}

/// The encoding of the content with this digest.
typealias Encoding = (content: String, bytes: [UInt8])

extension OutputWriter {
  mutating func add(encodings: [Encoding]) {
    add(encodings) { writer, encoding in
      writer.add(encoding.content)
      writer.add(encoding.bytes)
    }
  }
}

extension OutputReader {
  mutating func encodings(
    from encoder: CacheDatabase.Encoder
  ) throws(BadOutput) -> [Encoding] {
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
  /// Rejects contents other than those of the block, each once.
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
