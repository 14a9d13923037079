import Evaluation
import Files
import Scorers
import TestSupport
import Testing

@Suite struct ScoreRowTests {
  /// One image of each prompt.
  private func set(_ scores: [Double], in folder: String) throws -> ScoreSet {
    var set = ScoreSet()
    for score in scores {
      let path = "\(folder)/scores.json"
      let json: JSON = ["images": ["a"], "scores": [.number(score)]]
      try AtomicFile.replace(path, with: Array(json.text().utf8))
      set.append(try #require(PromptScores(path: path, of: ["a"])))
    }
    return set
  }

  @Test("where all prompts gain, none has lost most; where all lose, none has gained most")
  func exampleTitles() {
    #expect(PromptExamples.titles(of: [1, -1]) == ("gained most", "lost most"))
    #expect(PromptExamples.titles(of: [2, 1]) == ("gained most", "gained least"))
    #expect(PromptExamples.titles(of: [-2, -1]) == ("lost least", "lost most"))
  }

  @Test(
    "prompts to look at are the best, the median and the worst, none of them twice",
    arguments: [
      (1, [0], [], []), (2, [1], [], [0]), (3, [2], [1], [0]), (5, [4], [2], [0]),
      (7, [6, 5], [4, 3], [0, 1]),
    ] as [(Int, [Int], [Int], [Int])])
  func examples(count: Int, best: [Int], median: [Int], worst: [Int]) throws {
    try withTemporaryFolder { folder in
      let row = ScoreRow(
        .pickScore, guidance: 5, try set((0..<count).map { Double($0) }, in: folder),
        against: try set([Double](repeating: 0, count: count), in: folder))
      let examples = try #require(row.comparison).examples
      #expect(examples.best == best)
      #expect(examples.median == median)
      #expect(examples.worst == worst)
    }
  }

  @Test("of many prompts eight are shown of each kind, the median ones from the middle")
  func many() throws {
    try withTemporaryFolder { folder in
      let row = ScoreRow(
        .pickScore, guidance: 5, try set((0..<100).map { Double($0) }, in: folder),
        against: try set([Double](repeating: 0, count: 100), in: folder))
      let examples = try #require(row.comparison).examples
      #expect(examples.best.count == 8 && examples.worst.count == 8)
      #expect(examples.median == [53, 52, 51, 50, 49, 48, 47, 46])
    }
  }
}
