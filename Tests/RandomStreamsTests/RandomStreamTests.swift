import Foundation
import RandomStreams
import Testing

@Suite struct PhiloxTests {
  @Test("blocks are those of the reference implementation")
  func knownAnswers() {
    // Random123's kat_vectors, philox4x32 with 10 rounds.
    #expect(
      Philox.block(counter: (0, 0, 0, 0), key: 0)
        == (0x6627_E8D5, 0xE169_C58D, 0xBC57_AC4C, 0x9B00_DBD8))
    let ones = UInt32.max
    #expect(
      Philox.block(counter: (ones, ones, ones, ones), key: .max)
        == (0x408F_276D, 0x41C8_3B0E, 0xA20B_C7C6, 0x6D54_51FD))
    #expect(
      Philox.block(
        counter: (0x243F_6A88, 0x85A3_08D3, 0x1319_8A2E, 0x0370_7344), key: 0x299F_31D0_A409_3822)
        == (0xD16C_FE09, 0x94FD_CCEB, 0x5001_E420, 0x2412_6EA1))
  }
}

@Suite struct RandomStreamTests {
  @Test("a stream's numbers never change, whatever the version of this program")
  func storedNumbers() {
    // Resuming with a newer program relies on them.
    #expect(RandomStream.hash("foobar") == 0x8594_4171_F739_67E8)
    var stream = RandomStream(seed: 42, purpose: "test", item: 17)
    #expect(
      (0..<3).map { _ in stream.nextUInt32() } == [4_227_742_578, 1_939_963_045, 2_315_422_478])
    #expect(stream.permutation(count: 8) == [4, 1, 0, 5, 6, 7, 3, 2])
    #expect(stream.normals(count: 3) == [0.9206088, 2.5262415, 0.3264398])
  }

  @Test("seed, purpose and every index name different streams; the same name the same stream")
  func names() {
    var streams = [
      RandomStream(seed: 1, purpose: "a", item: 0), RandomStream(seed: 2, purpose: "a", item: 0),
      RandomStream(seed: 1, purpose: "b", item: 0), RandomStream(seed: 1, purpose: "a", item: 1),
      RandomStream(seed: 1, purpose: "a", item: 1 << 32),
      RandomStream(seed: 1, purpose: "a", item: 0, 0),
      RandomStream(seed: 1, purpose: "a", item: 0, 1),
      RandomStream(seed: 1, purpose: "a", item: 1, 0), RandomStream(seed: 0, purpose: "", item: 0),
    ]
    var firsts: Set<UInt64> = []
    for index in streams.indices { firsts.insert(streams[index].next()) }
    #expect(firsts.count == streams.count)
    var again = RandomStream(seed: 1, purpose: "a")
    #expect(firsts.contains(again.next()))
  }

  @Test("a longer fill starts with a shorter one, and fills of all lengths continue afresh")
  func prefixes() {
    for count in [0, 1, 7, 31, 32, 33, 64, 100] {
      var short = RandomStream(seed: 5, purpose: "prefix")
      var long = short
      #expect(short.normals(count: count) == Array(long.normals(count: 200).prefix(count)))
    }
    var stream = RandomStream(seed: 5, purpose: "prefix")
    #expect(stream.normals(count: 3) != stream.normals(count: 3))
  }

  @Test("the vectorised transform is Box and Muller's on the blocks of the stream")
  func transform() {
    var source = RandomStream(seed: 9, purpose: "words")
    var stream = source
    let normals = stream.normals(count: 3200)
    let blocks = (0..<800).map { _ in (0..<4).map { _ in source.nextUInt32() } }
    var largest = 0.0
    for (index, value) in normals.enumerated() {
      let block = blocks[index / 32 * 8 + index % 8]
      let part = index % 32 / 8
      let u = (Double(block[part / 2 * 2] >> 8) + 1) * 0x1p-24
      let angle = 2 * Double.pi * Double(block[part / 2 * 2 + 1]) * 0x1p-32
      let radius = (-2 * log(u)).squareRoot()
      let expected = radius * (part % 2 == 0 ? cos(angle) : sin(angle))
      largest = max(largest, abs(Double(value) - expected))
    }
    #expect(largest < 2e-6)
  }

  @Test("normal numbers have the moments and tails of a normal distribution")
  func moments() {
    var stream = RandomStream(seed: 3, purpose: "moments")
    let count = 1 << 20
    let values = stream.normals(count: count).map(Double.init)
    func moment(_ power: Int) -> Double {
      values.reduce(0) { sum, value in sum + (0..<power).reduce(1) { p, _ in p * value } }
        / Double(count)
    }
    // Five standard errors: sqrt(var(x^k) / count) with var 1, 2, 15, 96.
    #expect(abs(moment(1)) < 5e-3)
    #expect(abs(moment(2) - 1) < 7e-3)
    #expect(abs(moment(3)) < 2e-2)
    #expect(abs(moment(4) - 3) < 5e-2)
    let beyondTwo = values.count { abs($0) > 2 }
    #expect(abs(Double(beyondTwo) / Double(count) - 0.0455) < 1e-3)
    #expect(values.allSatisfy { $0.isFinite && abs($0) < 6 })
    let neighbours = zip(values, values.dropFirst()).reduce(0) { $0 + $1.0 * $1.1 }
    #expect(abs(neighbours / Double(count)) < 5e-3)
  }

  @Test("integers and permutations are uniform")
  func integers() {
    var stream = RandomStream(seed: 8, purpose: "integers")
    var counts = [Int](repeating: 0, count: 7)
    for _ in 0..<70_000 { counts[stream.integer(below: 7)] += 1 }
    #expect(counts.allSatisfy { abs($0 - 10_000) < 500 })  // 5 standard deviations
    #expect((0..<100).allSatisfy { _ in stream.integer(below: 1) == 0 })
    let large = (0..<1000).map { _ in stream.integer(below: .max) }
    #expect(large.allSatisfy { $0 >= 0 } && large.contains { $0 > .max / 2 })

    var orders: [[Int]: Int] = [:]
    for _ in 0..<6000 { orders[stream.permutation(count: 3), default: 0] += 1 }
    #expect(orders.count == 6 && orders.values.allSatisfy { abs($0 - 1000) < 150 })
    #expect(stream.permutation(count: 0).isEmpty)
    #expect(stream.permutation(count: 500).sorted() == Array(0..<500))
  }

  @Test("uniform numbers fill 0..<1 evenly")
  func uniforms() {
    var stream = RandomStream(seed: 8, purpose: "uniforms")
    let values = (0..<100_000).map { _ in stream.uniform() }
    #expect(values.allSatisfy { (0..<1).contains($0) })
    #expect(abs(values.reduce(0, +) / 100_000 - 0.5) < 5e-3)
    #expect(values.min().map { $0 < 1e-3 } == true && values.max().map { $0 > 0.999 } == true)
  }
}
