import ProceduralWorld
import Testing

@Suite struct PreferenceTests {
  @Test("utility weighs each score by its spread")
  func utility() {
    let scores = [
      OracleScore(aesthetics: 40, agreement: 90), OracleScore(aesthetics: 60, agreement: 10),
    ]  // standard deviations 10 and 40
    let utility = Utility(scores: scores)
    #expect(abs(utility(scores[0]) - (0.5 * 4 + 0.5 * 2.25)) < 1e-12)
    #expect(abs(utility(scores[1]) - (0.5 * 6 + 0.5 * 0.25)) < 1e-12)
  }

  @Test("a score without spread counts nothing")
  func constant() {
    let scores = [1.0, 2, 3].map { OracleScore(aesthetics: $0, agreement: 50) }
    #expect(Utility(scores: scores).perAgreement == 0)
    #expect(Utility(scores: []).perAesthetics == 0)
  }

  @Test("the smallest margins are ties, the sign decides the others")
  func ties() {
    let labels = PreferenceLabels(sharpness: 1, tieShare: 0.4)
    #expect(
      labels.labels(margins: [3, -0.1, -2, 0.2, 5]) == [.first, .tie, .second, .tie, .first])
    #expect(PreferenceLabels(tieShare: 0).labels(margins: [-1, 2]) == [.second, .first])
    #expect(labels.labels(margins: []).isEmpty)
  }

  @Test("labels follow the Bradley-Terry model")
  func bradleyTerry() {
    let rule = PreferenceLabels(sharpness: 6, tieShare: 0)
    let differences = [Double](repeating: 0.25, count: 20_000)
    let labels = rule.labels(utilityDifferences: differences, seed: 3)
    let share = Double(labels.count { $0 == .first }) / Double(labels.count)
    // sigmoid(6 * 0.25) = 0.8176; the standard error of the share is 0.0027.
    #expect(abs(share - 0.8176) < 0.01)
    #expect(labels == rule.labels(utilityDifferences: differences, seed: 3))
  }
}
