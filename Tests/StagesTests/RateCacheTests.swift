import Autograd
import Backends
import Foundation
import StageSupport
import TestSupport
import Testing

@Suite struct RateCacheTests {
  @Test("rates are kept; files that are damaged or of another machine count as none")
  func rates() throws {
    try withTemporaryFolder { folder in
      let cache = RateCache(folder: "\(folder)/spo")
      let rates = cache.read()
      let profile = OperationProfile()
      profile.record {
        withBackend(PlanningBackend()) { _ = Tensor(repeating: 0, shape: [1000]) }
      }
      _ = rates.seconds(of: profile)
      cache.write(rates)
      #expect(cache.read().secondsPerUnit == rates.secondsPerUnit)
      let name = try #require(
        try FileManager.default.contentsOfDirectory(atPath: "\(folder)/spo").first)
      let path = "\(folder)/spo/\(name)"
      let text = try String(contentsOfFile: path, encoding: .utf8)
      #expect(text.contains(Machine.processorRevision))
      let other = text.replacingOccurrences(of: "threads", with: "other threads")
      // Beyond what any operation takes.
      let slow = text.replacing(/: *[0-9.]+(e-[0-9]+)?(?=\s*})/, with: ": 1e30")
      #expect(slow != text)
      for damaged in [String(text.dropLast(20)), "[]", other, slow] {
        try damaged.write(toFile: path, atomically: true, encoding: .utf8)
        #expect(cache.read().secondsPerUnit.isEmpty)
      }
      RateCache(folder: path).write(rates)
    }
  }
}
