import Diffusion
import Foundation
import TestSupport
import Testing

/// A caption and its ids, from `Tests/Fixtures/tokenizer/generate.py`.
private struct Case: Decodable {
  let text: String
  /// The padded ids without the repetitions of the last.
  let files: [Int]
  let filesCount: Int
  let serialized: [Int]
  let serializedCount: Int

  enum CodingKeys: String, CodingKey {
    case text, files, serialized
    case filesCount = "files_count"
    case serializedCount = "serialized_count"
  }

  static func all() throws -> [Case] {
    let data = try Data(contentsOf: URL(fileURLWithPath: fixturePath("tokenizer/cases.json")))
    return try JSONDecoder().decode([Case].self, from: data)
  }
}

@Suite struct TokenizerTests {
  @Test("captions of every kind get the ids of transformers, from the four files")
  func files() throws {
    let tokenizer = try Tokenizer(folder: fixturePath("tokenizer/files"))
    #expect(tokenizer.length == 77)
    #expect(tokenizer.paddingToken == tokenizer.endToken)
    let cases = try Case.all()
    #expect(cases.count > 350)
    for item in cases {
      try expect(tokenizer, item.text, item.files, item.filesCount)
    }
  }

  @Test("and from a tokenizer.json that pads with an exclamation mark and cuts at 24")
  func serialized() throws {
    let tokenizer = try Tokenizer(folder: fixturePath("tokenizer/serialized"))
    #expect(tokenizer.length == 24)
    #expect(tokenizer.paddingToken == 0)
    for item in try Case.all() {
      try expect(tokenizer, item.text, item.serialized, item.serializedCount)
    }
  }

  private func expect(
    _ tokenizer: Tokenizer, _ text: String, _ ids: [Int], _ count: Int,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let padding = repeatElement(ids.last ?? -1, count: tokenizer.length - ids.count)
    #expect(
      try tokenizer.encode(text) == ids + padding, "\(text.debugDescription)",
      sourceLocation: sourceLocation)
    #expect(
      try tokenizer.tokens(of: text).count == count, "\(text.debugDescription)",
      sourceLocation: sourceLocation)
  }

  @Test(
    "16 times the caption takes about 16 times as long, whatever is in it",
    arguments: [
      "a", "ab", "the ", "!", "\u{301}\u{327}", "\u{F73}\u{301}", "👩‍👩‍👧", "\u{1112}\u{1161}\u{11AB}",
      "<|", "<|endoftext|>",
    ])
  func longCaptions(unit: String) throws {
    let tokenizer = try Tokenizer(folder: fixturePath("tokenizer/files"))
    let limit = Tokenizer.captionByteLimit
    func caption(_ byteCount: Int) -> String {
      "x" + String(repeating: unit, count: (byteCount - 1) / unit.utf8.count)
    }
    let factor = try growth(from: caption(limit / 16), to: caption(limit)) {
      _ = try tokenizer.encode($0)
    }
    // A quadratic algorithm would take 256 times as long.
    #expect(factor < 64)
  }

  @Test("a caption of more than 64 KiB is refused")
  func captionLimit() throws {
    let tokenizer = try Tokenizer(folder: fixturePath("tokenizer/files"))
    let limit = Tokenizer.captionByteLimit
    #expect(try tokenizer.encode(String(repeating: "a", count: limit)).count == tokenizer.length)
    #expect(throws: TokenizerError.captionTooLong(byteCount: limit + 1, limit: limit)) {
      try tokenizer.encode(String(repeating: "a", count: limit + 1))
    }
  }
}
