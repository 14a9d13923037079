import Diffusion
import Files
import Imaging
import Scorers
import TestSupport
import Testing

/// Scores by the published code on random weights (`Tests/Fixtures/scorers/README.md`).
@Suite struct GoldenScoreTests {
  private static let folder = fixturePath("scorers")
  private static let tinyModel = fixturePath("../../data/tiny-sd")

  private static func path(_ kind: ScorerKind) -> String {
    [.hpsV2, .hpsV21].contains(kind)
      ? "\(folder)/clip-open/HPS_v2.1_compressed.pt" : "\(folder)/clip-hf"
  }

  static func scorer(_ kind: ScorerKind) throws -> Scorer {
    try Scorer(
      kind, path: path(kind), tokenizer: try ModelFolder(path: tinyModel).tokenizer())
  }

  private func images(_ expected: JSONReader) throws -> [RGBImage] {
    try expected.strings("images").map {
      try RGBImage(decoding: try RegularFile(path: "\(Self.folder)/images/\($0).png").readAll())
    }
  }

  @Test("a score is what the published code computes", arguments: ScorerKind.allCases)
  func score(kind: ScorerKind) throws {
    let expected = try JSONReader(contentsOf: "\(Self.folder)/expected.json")
    let scorer = try Self.scorer(kind)
    let name = kind == .hpsV2 ? ScorerKind.hpsV21.rawValue : kind.rawValue
    let rows = try expected["scores"][name].elements()
    let prompts = try expected.strings("prompts")
    #expect(rows.count == prompts.count)
    for (prompt, row) in zip(prompts, rows) {
      let wanted = try row.elements().map { try $0.double() }
      let found = try scorer(try images(expected), prompt: prompt).scores
      let largest = wanted.reduce(1e-6) { max($0, abs($1)) }
      #expect(found.count == wanted.count)
      for (found, wanted) in zip(found, wanted) {
        #expect(abs(found - wanted) <= 1e-4 * largest, "\(kind): \(found), not \(wanted)")
      }
    }
  }

  @Test("diversity is the mean distance of all pairs")
  func diversity() throws {
    let expected = try JSONReader(contentsOf: "\(Self.folder)/expected.json")
    let wanted = try #require(try expected["diversity"].elements().first).double()
    let result = try Self.scorer(.clipScore)(
      try images(expected), prompt: try expected.strings("prompts")[0])
    let found = try #require(result.diversity(of: 0..<4))
    #expect(abs(found - wanted) < 1e-5)
    #expect(result.diversity(of: 0..<1) == nil)
  }

  @Test("a prompt is cleaned as OpenCLIP's tokenizer cleans it")
  func captions() throws {
    let cases = try JSONReader(
      try JSON(contentsOf: "\(Self.folder)/captions.json"), path: "captions.json"
    ).elements().map { try $0.strings() }
    #expect(cases.count >= 5)
    for pair in cases { #expect(openCLIPCaption(pair[0]) == pair[1]) }
  }
}
