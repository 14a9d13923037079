import Diffusion
import Foundation

/// The files of a tokenizer, and what it reads.
let tokenizerTargets: [FuzzTarget] = [
  FuzzTarget(
    "tokenizer",
    preparing: {
      let folder = try Scratch.copy("data/tiny-sd/tokenizer", to: "tokenizer")
      return { try readTokenizer($0, folder) }
    }),
  FuzzTarget(
    "caption",
    preparing: {
      let tokenizer = try Tokenizer(folder: "\(Scratch.repository)/data/tiny-sd/tokenizer")
      return { try encode(String(decoding: $0, as: UTF8.self), tokenizer) }
    }),
]

private let files = [
  "vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json",
  "added_tokens.json", "tokenizer.json",
]

/// The first byte says which file the rest replaces.
private func readTokenizer(_ input: UnsafeRawBufferPointer, _ folder: String) throws {
  guard let (index, rest) = input.choice(of: files.count) else { return }
  let path = "\(folder)/\(files[index])"
  let (vocabulary, hidden) = ("\(folder)/vocab.json", "\(folder)/hidden")
  let old = FileManager.default.contents(atPath: path)
  _ = Scratch.write(rest, to: path)
  // tokenizer.json is read where there is no vocab.json.
  let isAlone = files[index] == "tokenizer.json"
  if isAlone { rename(vocabulary, hidden) }
  defer {
    if isAlone { rename(hidden, vocabulary) }
    if let old { _ = Scratch.write([UInt8](old), to: path) } else { unlink(path) }
  }
  try encode("a photo of a cat, <|endoftext|> 3 dogs \u{e9}", try Tokenizer(folder: folder))
}

private func encode(_ caption: String, _ tokenizer: Tokenizer) throws {
  let ids = try tokenizer.encode(caption)
  require(ids.count == tokenizer.length, "\(ids.count) ids")
  require(
    ids.allSatisfy { (0..<tokenizer.vocabularySize).contains($0) }, "an id is out of range: \(ids)")
}
