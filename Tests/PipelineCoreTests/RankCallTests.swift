import PipelineCore
import Ranks
import TestSupport
import Testing

@Suite struct RankCallTests {
  @Test("the others get what rank 0 calls for")
  func calls() throws {
    let calls: [RankCall] = [
      .stage(name: "spo", settings: #"{"beta": "\u00e9"}"#, isBuilding: true), .end(exitCode: 143),
    ]
    let all = try ThreadRanks.run(3) { ranks in
      try calls.map { call in
        if ranks.isFirst { try call.send(by: ranks) }
        return ranks.isFirst ? call : try RankCall.next(from: ranks)
      }
    }
    #expect(all.allSatisfy { $0 == calls })
  }
}
