import Foundation
import Ranks
import TestSupport
import Testing

@Suite struct CommunicatorTests {
  @Test("all get what rank 0 has, whatever its size", arguments: [1, 2, 5])
  func broadcast(_ count: Int) throws {
    let sizes = [0, 1, Communicator.pieceSize, Communicator.pieceSize + 3]
    let all = try ThreadRanks.run(count) { ranks in
      try sizes.map { size in
        try ranks.broadcast(ranks.isFirst ? (0..<size).map { UInt8($0 % 251) } : [])
      }
    }
    for (index, size) in sizes.enumerated() {
      #expect(all.allSatisfy { $0[index].count == size && $0[index] == all[0][index] })
    }
  }

  @Test("everyone gets what each gives, by rank", arguments: [1, 2, 5])
  func gather(_ count: Int) throws {
    let all = try ThreadRanks.run(count) { ranks in
      try ranks.gather([UInt8](repeating: UInt8(ranks.rank), count: 3 * ranks.rank))
    }
    let expected = (0..<count).map { [UInt8](repeating: UInt8($0), count: 3 * $0) }
    #expect(all.allSatisfy { $0 == expected })
    let largest = try ThreadRanks.run(count) { try $0.maximum(-1 - $0.rank) }
    #expect(largest == [Int](repeating: -1, count: count))
  }

  @Test("a sum is added in the order of the ranks, the last first, piece by piece")
  func sum() throws {
    let length = Communicator.pieceSize / 4 + 7
    let all = try ThreadRanks.run(3) { ranks in
      var values = (0..<length).map { Float(ranks.rank + 1) / Float($0 + 3) }
      try values.withUnsafeMutableBufferPointer { try ranks.sum($0) }
      return values
    }
    #expect(
      (0..<length).allSatisfy { index in
        let parts = (1...3).map { Float($0) / Float(index + 3) }
        return all[0][index] == parts[0] + (parts[1] + parts[2])
      })
  }

  @Test("items are divided, and all get all results in their order", arguments: [1, 2, 3, 7])
  func divided(_ count: Int) throws {
    let all = try ThreadRanks.run(count) { ranks in
      var own: [Int] = []
      let results = try ranks.divided(
        5, write: { Array("\($0)".utf8) }, read: { Int(String(decoding: $0, as: UTF8.self)) ?? -1 }
      ) { item in
        own.append(item)
        return 10 * item
      }
      return [results, own]
    }
    #expect(all.allSatisfy { $0[0] == [0, 10, 20, 30, 40] })
    for (rank, result) in all.enumerated() {
      #expect(result[1] == (0..<5).filter { $0 % count == rank })
    }
  }

  @Test("floats go from one to another, and time in exchanges is counted")
  func floats() throws {
    let all = try ThreadRanks.run(2) { ranks in
      if ranks.isFirst { return (try ranks.receiveFloats(from: 1), ranks.seconds) }
      usleep(20_000)
      try ranks.send([1.5, -2], to: 0)
      return ([], ranks.seconds)
    }
    #expect(all[0].0 == [1.5, -2])
    #expect(all[0].1 > 0.01)
  }

  @Test("who waits can be called away")
  func check() throws {
    struct Called: Error {}
    #expect(throws: Called.self) {
      _ = try ThreadRanks.run(2) { ranks in
        guard !ranks.isFirst else { return }
        _ = try ranks.broadcast([], check: { throw Called() })
      }
    }
  }
}
