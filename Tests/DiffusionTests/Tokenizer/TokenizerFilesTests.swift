import Diffusion
import Files
import Foundation
import TestSupport
import Testing

/// The smallest of vocabularies: a, b, ab at the end of a word, and the two special tokens.
private let smallVocabulary =
  #"{"a":0,"b":1,"a</w>":2,"b</w>":3,"ab</w>":4,"<|startoftext|>":5,"<|endoftext|>":6}"#
private let smallMerges = "#version: 0.2\na b</w>\n"

@Suite struct TokenizerFilesTests {
  /// Writes the files and reads them as a tokenizer.
  private func tokenizer(_ files: [String: String]) throws -> Tokenizer {
    try withTemporaryFolder { folder in
      for (name, text) in files {
        try AtomicFile.replace("\(folder)/\(name)", with: Array(text.utf8))
      }
      return try Tokenizer(folder: folder)
    }
  }

  private func tokenizer(
    vocabulary: String = smallVocabulary, merges: String = smallMerges, config: String = "{}",
    map: String = "{}"
  ) throws -> Tokenizer {
    try tokenizer([
      "vocab.json": vocabulary, "merges.txt": merges, "tokenizer_config.json": config,
      "special_tokens_map.json": map,
    ])
  }

  /// The text of the error, with the temporary folder left out.
  private func message(_ body: () throws -> Tokenizer) -> String {
    do {
      _ = try body()
      return "no error"
    } catch {
      let text = "\(error)"
      guard let folder = text.firstRange(of: /\S*spo-test-[0-9A-F-]*\/?/) else { return text }
      return text.replacingCharacters(in: folder, with: "")
    }
  }

  @Test("a vocabulary of any size works; bytes without a token are the unknown token")
  func smallFolder() throws {
    let tokenizer = try tokenizer(config: #"{"model_max_length": 8}"#)
    #expect(tokenizer.vocabularySize == 7)
    #expect(try tokenizer.encode("ab ba c") == [5, 4, 1, 2, 6, 6, 6, 6])
    #expect(try tokenizer.encode("ab ab ab ab ab ab ab") == [5, 4, 4, 4, 4, 4, 4, 6])
    #expect(try tokenizer.encode("") == [5, 6, 6, 6, 6, 6, 6, 6])
  }

  @Test("the length is 77 where no file gives a usable one")
  func defaultLength() throws {
    #expect(try tokenizer().length == 77)
    #expect(
      try tokenizer(config: #"{"model_max_length": 1000000000000000019884624838656}"#).length == 77)
    let files = ["vocab.json": smallVocabulary, "merges.txt": smallMerges]
    #expect(try tokenizer(files).paddingToken == 6)
  }

  @Test("the map of special tokens has the last word unless the config lists added tokens")
  func padding() throws {
    let map = #"{"pad_token": {"content": "b", "lstrip": false}}"#
    #expect(try tokenizer(config: #"{"pad_token": "a"}"#, map: map).paddingToken == 1)
    let config = #"{"pad_token": "a", "added_tokens_decoder": {"7": {"content": "<x>"}}}"#
    let newer = try tokenizer(config: config, map: map)
    #expect(newer.paddingToken == 0)
    #expect(newer.vocabularySize == 8)
    // The padding token is a special one, so "a" is found before any word is.
    #expect(try newer.tokens(of: "ab<x>ab <X>") == [0, 3, 7, 0, 3, 6, 6, 6])
  }

  @Test("only the exact spelling of a special token is one")
  func spelling() throws {
    let tokenizer = try Tokenizer(folder: fixturePath("tokenizer/files"))
    let end = tokenizer.endToken
    #expect(try tokenizer.tokens(of: "a<|endoftext|>").last == end)
    #expect(try !tokenizer.tokens(of: "a<|ENDOFTEXT|>").contains(end))
    #expect(try tokenizer.tokens(of: "<|EndOfText|>") == tokenizer.tokens(of: "<| endoftext |>"))
  }

  @Test("damaged folders are refused by name")
  func damagedFolders() throws {
    #expect(
      message { try tokenizer([:]).self }.hasSuffix(
        "has neither vocab.json with merges.txt nor tokenizer.json"))
    #expect(
      message { try tokenizer(merges: smallMerges + "a a\n") }
        == "merges.txt: merge 2 needs the token \"aa\", which the vocabulary lacks")
    #expect(
      message { try tokenizer(merges: "a q</w>\n") }
        == "merges.txt: merge 1 needs the token \"q</w>\", which the vocabulary lacks")
    for line in ["a", "a b b", " a", "a ", "a  b</w>"] {
      #expect(
        message { try tokenizer(merges: smallMerges + line) }
          == "merges.txt: merge 2 is \"\(line)\", not two tokens with one space between them")
    }
    #expect(
      message { try tokenizer(vocabulary: #"{"a":0,"b":0}"#) }
        == #"vocab.json: id 0 belongs to "a" and to "b""#)
    for id in ["2", "-1", "9223372036854775807"] {
      #expect(
        message { try tokenizer(vocabulary: #"{"a":0,"b":\#(id)}"#) }
          == "vocab.json: the ids of 2 tokens must be 0 to 1, each once; \(id) is wrong")
    }
    #expect(message { try tokenizer(vocabulary: #"{"a":0,"a":1}"#) }.contains("vocab.json:1:"))
    #expect(message { try tokenizer(vocabulary: #"{"a":0.5}"#) }.contains("vocab.json: a must be"))
    #expect(message { try tokenizer(vocabulary: "[]") }.contains("vocab.json must be an object"))
    #expect(message { try tokenizer(vocabulary: "{") }.contains("vocab.json:1:2"))
    #expect(
      message { try tokenizer(vocabulary: #"{"a":0}"#, merges: "#version: 0.2\n") }
        == ": bos_token is \"<|startoftext|>\", which the vocabulary lacks")
    #expect(
      message { try tokenizer(map: #"{"pad_token": "[PAD]"}"#) }.contains("pad_token is \"[PAD]\""))
    #expect(
      message { try tokenizer(config: #"{"model_max_length": 1}"#) }.contains(
        "start and end need 2"))
    #expect(
      message { try tokenizer(config: #"{"tokenizer_class": "T5Tokenizer"}"#) }.contains(
        "T5Tokenizer"))
    #expect(
      message { try tokenizer(config: #"{"added_tokens_decoder": {"3": {"content": "a"}}}"#) }
        .contains("\"a\" has id 0 here and 3 in another list"))
    #expect(
      message { try tokenizer(config: #"{"added_tokens_decoder": {"99": {"content": "<x>"}}}"#) }
        .contains("99 is wrong"))
    #expect(
      message { try tokenizer(["tokenizer.json": #"{"model": {"type": "Unigram"}}"#]) }.contains(
        "Unigram"))
  }

  @Test("merges that are not UTF-8 are refused")
  func invalidText() throws {
    try withTemporaryFolder { folder in
      try AtomicFile.replace("\(folder)/vocab.json", with: Array(smallVocabulary.utf8))
      try AtomicFile.replace("\(folder)/merges.txt", with: [0x61, 0x20, 0xFF, 0x0A])
      #expect(throws: TokenizerError.self) { try Tokenizer(folder: folder) }
    }
  }
}
