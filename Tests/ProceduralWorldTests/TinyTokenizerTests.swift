import Diffusion
import Foundation
import ProceduralWorld
import TestSupport
import Testing

@Suite struct TinyTokenizerTests {
  private func withTokenizer(_ body: (Tokenizer) throws -> Void) throws {
    try withTemporaryFolder { folder in
      for file in TinyTokenizer().files {
        try Data(file.contents.utf8).write(to: URL(fileURLWithPath: "\(folder)/\(file.name)"))
      }
      try body(Tokenizer(folder: folder))
    }
  }

  @Test("every word of every prompt is one token, and prompts fit")
  func words() throws {
    try withTokenizer { tokenizer in
      #expect(tokenizer.length == 24)
      #expect(tokenizer.vocabularySize == TinyTokenizer().vocabulary.count)
      #expect(tokenizer.paddingToken == tokenizer.endToken)
      for scene in Scene.all {
        let words = scene.prompt.replacing(",", with: " ,").split(separator: " ").count
        let tokens = try tokenizer.encode(scene.prompt)
        #expect(tokens.firstIndex(of: tokenizer.endToken) == words + 1)
        #expect(tokens.count == 24)
      }
    }
  }

  @Test("other words are spelled in smaller tokens, none of them the end of the text")
  func otherWords() throws {
    try withTokenizer { tokenizer in
      let tokens = try tokenizer.encode("zebra Ă!")
      #expect(tokens.prefix(9).allSatisfy { $0 != tokenizer.endToken })
      #expect(tokens.last == tokenizer.endToken)
    }
  }

  @Test("the files in data/tiny-sd are these")
  func committed() throws {
    let folder = fixturePath("../../data/tiny-sd/tokenizer")
    for file in TinyTokenizer().files {
      let contents = try String(contentsOfFile: "\(folder)/\(file.name)", encoding: .utf8)
      #expect(contents == file.contents, "\(file.name)")
    }
  }
}
