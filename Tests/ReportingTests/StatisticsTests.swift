import Foundation
import Reporting
import TestSupport
import Testing

@Suite struct StatisticsTests {
  @Test("quantiles of Student's distribution are those of tables")
  func quantiles() {
    for (degrees, expected) in [
      (1, 12.706_204_7), (2, 4.302_652_7), (3, 3.182_446_3), (10, 2.228_138_9), (63, 1.998_340_5),
      (499, 1.964_729_4),
    ] {
      #expect(abs(studentQuantile(0.975, degreesOfFreedom: degrees) - expected) < 1e-6)
    }
    #expect(studentQuantile(0.5, degreesOfFreedom: 7) < 1e-12)
  }

  @Test("a mean has the error and the interval that a calculation by hand gives")
  func mean() throws {
    let estimate = MeanEstimate([1, 2, 3, 6])
    #expect(estimate.mean == 3)
    let error = try #require(estimate.standardError)
    #expect(abs(error - (14.0 / 3 / 4).squareRoot()) < 1e-12)
    let interval = try #require(estimate.interval)
    #expect(abs(interval.upperBound - (3 + 3.182_446_305 * error)) < 1e-6)
    #expect(MeanEstimate([5]).interval == nil)
  }

  @Test("with one pair a prompt the win rate has Wilson's interval")
  func wilson() {
    // 7 of 10: 0.3968 to 0.8922 in Wilson's formula.
    let wins = WinRate((0..<10).map { [$0 < 7 ? 1 : -1] })
    #expect(wins.rate == 0.7)
    #expect(abs(wins.interval.lowerBound - 0.396_781) < 1e-5)
    #expect(abs(wins.interval.upperBound - 0.892_209) < 1e-5)
    #expect((wins.wins, wins.ties, wins.losses) == (7, 0, 3))
  }

  @Test("a side that wins everywhere is not certain to")
  func extremes() {
    let all = WinRate([[Double]](repeating: [1], count: 10))
    #expect(all.rate == 1)
    #expect(all.interval.upperBound == 1)
    #expect(abs(all.interval.lowerBound - 0.722_467) < 1e-5)
    let ties = WinRate([[Double]](repeating: [0, 0], count: 10))
    #expect(ties.rate == 0.5)
    #expect(ties.ties == 20)
    #expect(ties.interval.lowerBound < 0.5 && ties.interval.upperBound > 0.5)
  }

  @Test("images of one prompt that always agree count as one")
  func clusters() {
    let single = WinRate((0..<20).map { [$0 < 12 ? 1 : -1] })
    let copied = WinRate((0..<20).map { [Double](repeating: $0 < 12 ? 1 : -1, count: 4) })
    #expect(copied.interval == single.interval)
    #expect(copied.wins == 48)
  }

  // Made by Tests/Fixtures/statistics/generate.py.
  @Test("a bootstrap over prompts in numpy gives the same intervals within its noise")
  func bootstrap() throws {
    struct Case: Decodable {
      let name: String
      let differences: [[Double]]
      let mean: Double
      let standardError: Double
      let meanInterval: [Double]
      let rate: Double
      let rateInterval: [Double]
    }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let cases = try decoder.decode(
      [Case].self,
      from: try Data(contentsOf: URL(fileURLWithPath: fixturePath("statistics/bootstrap.json"))))
    #expect(cases.count >= 4)
    for golden in cases {
      let means = golden.differences.map { $0.reduce(0, +) / Double($0.count) }
      let estimate = MeanEstimate(means)
      #expect(abs(estimate.mean - golden.mean) < 1e-9)
      let error = try #require(estimate.standardError)
      let interval = try #require(estimate.interval)
      // The bootstrap's deviation is that of n, not of n - 1 values, and has 2 % of noise.
      #expect(abs(error / golden.standardError - 1) < 0.04, "\(golden.name)")
      for (found, expected) in zip([interval.lowerBound, interval.upperBound], golden.meanInterval)
      {
        #expect(abs(found - expected) < 0.2 * error, "\(golden.name): \(found), not \(expected)")
      }
      let wins = WinRate(golden.differences)
      #expect(abs(wins.rate - golden.rate) < 1e-9)
      for (found, expected) in zip(
        [wins.interval.lowerBound, wins.interval.upperBound], golden.rateInterval)
      {
        #expect(abs(found - expected) < 0.015, "\(golden.name): \(found), not \(expected)")
      }
    }
  }
}
