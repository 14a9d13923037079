import Foundation
import Reporting

/// A report with everything in it.
enum SampleReport {
  static var report: Report {
    Report(
      title: "SPO on the tiny model",
      subtitle: "Aesthetics rose by 9.6 points of 100; agreement with the prompt did not fall.",
      sections: [
        ReportSection("Result", [.comparison(comparison), .text(explanation)]),
        ReportSection("Before and after", [.images(images)]),
        ReportSection("Preference model", [.chart(accuracy), .chart(candidates)]),
        ReportSection("Training", [.chart(loss), .chart(learningRate)]),
        ReportSection("Settings", [.table(settings), .table(folded)]),
      ],
      footer: "spo 0.1, 2 threads, 22 November 2026")
  }

  private static let explanation = """
    The same 64 prompts and the same four seeds were sampled before and after. The prompts were never \
    used in training or for choosing a setting.
    """

  private static let comparison = ComparisonTable(
    rows: [
      .init("Aesthetics", before: 62.98, after: 72.56, standardError: 1.5),
      .init("Agreement", before: 39.81, after: 39.4, standardError: 0.99),
    ], note: "Means over 256 images; intervals of the paired difference.")

  private static let images = ImageGrid(
    cards: prompts.enumerated().map { index, prompt in
      .init(
        prompt: prompt,
        shots: ["before", "after"].enumerated().map { side, label in
          .init(
            label, png: (try? png(index, side)) ?? [],
            note: "aesthetics \(61 + 9 * side)\nagreement 84")
        })
    }, isPixelated: true)

  private static let prompts = [
    "a red circle on the left and a blue square on the right, dark background",
    "a yellow triangle in the middle, light background",
    "a green square on the top and a purple circle on the bottom, light background",
    "a blue circle on the left, dark background",
  ]

  private static func png(_ index: Int, _ side: Int) throws -> [UInt8] {
    let folder = ProcessInfo.processInfo.environment["SAMPLE_PICTURES"] ?? ""
    return Array(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(2 * index + side).png")))
  }

  private static let accuracy = Chart(
    title: "Accuracy on held-out pairs", x: .init("timestep", range: 0...1000),
    y: .init("share ordered as labelled", range: 0.4...1),
    series: [
      .init(
        "labels", style: .points,
        points: zip([1.0, 251, 501, 701, 951], [0.79, 0.76, 0.72, 0.63, 0.54]).map {
          .init(x: $0, y: $1, error: 0.035)
        }),
      .init(
        "aesthetics", style: .points,
        points: zip([1.0, 251, 501, 701, 951], [0.78, 0.74, 0.69, 0.6, 0.5]).map {
          .init(x: $0, y: $1, error: 0.035)
        }),
    ],
    rules: [.init(y: 0.5, label: "chance"), .init(y: 0.75, label: "wanted at t = 1")],
    note: "Ties are left out. Bars: one standard error.")

  private static let candidates = Chart(
    title: "Pairs that passed the threshold", x: .init("step"), y: .init("fraction of pairs"),
    series: [
      .init(
        "epoch 1", style: .bars,
        points: (4..<10).map { .init(x: Double($0), y: 0.9 / Double($0 - 2)) }),
      .init(
        "epoch 2", style: .bars,
        points: (4..<10).map { .init(x: Double($0), y: 0.8 / Double($0 - 2), error: 0.03) }),
    ])

  private static var noisyLoss: Chart.Series {
    .init(
      "loss", style: .faintLine,
      points: (0..<800).map { step in
        let noise = sin(Double(step * step)) * 0.04
        return .init(x: Double(step), y: 0.62 + 0.07 * exp(-Double(step) / 200) + noise)
      })
  }

  private static var loss: Chart {
    var mean = noisyLoss.averaged(to: 40)
    mean.name = "mean of 20 steps"
    mean.style = .line
    return Chart(
      title: "SPO loss", x: .init("step"), y: .init("loss"), series: [noisyLoss, mean],
      rules: [.init(y: log(2), label: "ln 2: no preference learned")])
  }

  private static let learningRate = Chart(
    title: "Learning rate and gradient norm", x: .init("step"), y: .init("", scale: .logarithmic),
    series: [
      .init(
        "learning rate",
        points: (0..<100).map { .init(x: Double($0 * 8), y: 7e-4 * Double(101 - $0) / 101) }),
      .init(
        "gradient norm",
        points: (0..<100).map { .init(x: Double($0 * 8), y: 0.2 + 0.1 * sin(Double($0))) }),
    ])

  private static let settings = ReportTable(
    caption: "Seconds by stage", columns: ["stage", "items", "seconds"],
    rows: [["ingest", "2,160", "1.9"], ["encode", "5,400", "61.2"], ["spo", "150", "148.0"]],
    numberColumns: [1, 2])

  private static let folded = ReportTable(
    caption: "All settings",
    pairs: [("spo.learningRate", "7e-4"), ("spo.candidates", "4"), ("spo.threshold", "0.05")],
    isFolded: true)
}
