import Reporting
import Testing

@Suite struct ChartTests {
  private func page(_ chart: Chart) -> String {
    Report(title: "t", sections: [ReportSection("s", [.chart(chart)])]).html
  }

  private func chart(_ points: [Chart.Point], _ style: Chart.Series.Style = .line) -> Chart {
    Chart(
      title: "t", x: .init("x"), y: .init("y"), series: [.init("a", style: style, points: points)])
  }

  @Test(
    "ticks are round numbers inside the axis",
    arguments: [
      ([0, 1000], [0, 200, 400, 600, 800, 1000]),
      ([0.61, 0.74], [0.62, 0.64, 0.66, 0.68, 0.7, 0.72, 0.74]),
      ([-3, 4], [-2, 0, 2, 4]),
    ] as [([Double], [Double])])
  func linearTicks(values: [Double], expected: [Double]) {
    let scale = AxisScale(.init("x"), values: values, margin: 0)
    #expect(scale.ticks.count == expected.count)
    for (tick, value) in zip(scale.ticks, expected) { #expect(abs(tick - value) < 1e-9) }
  }

  @Test("a logarithmic axis names powers of ten, and 2 and 5 times them where it is short")
  func logarithmicTicks() {
    let long = AxisScale(.init("x", scale: .logarithmic), values: [1e-5, 1], margin: 0)
    #expect(long.ticks.count == 6)
    let short = AxisScale(.init("x", scale: .logarithmic), values: [1, 100, -3, 0], margin: 0)
    #expect(short.ticks.count == 7)
    #expect(short.place(of: 10).map { abs($0 - 0.5) < 1e-12 } == true)
    #expect(short.place(of: 0) == nil)
    let narrow = AxisScale(.init("x", scale: .logarithmic), values: [3.1, 3.9], margin: 0)
    #expect(narrow.ticks.count >= 2)
  }

  @Test(
    "no data breaks a chart",
    arguments: [
      [], [(0, 0)], [(.nan, 1)], [(1, .infinity), (2, 3)], [(5, 5), (5, 5)],
      [(1e300, -1e300), (0, 1e-300)],
      [(-1e308, 1), (1e308, 2)],
    ] as [[(Double, Double)]])
  func strangeData(points: [(Double, Double)]) {
    for style in [Chart.Series.Style.line, .faintLine, .points, .bars] {
      for scale in [Chart.Axis.Scale.linear, .logarithmic] {
        var chart = chart(points.map { Chart.Point(x: $0.0, y: $0.1, error: abs($0.1)) }, style)
        chart.x.scale = scale
        chart.y.scale = scale
        let page = page(chart)
        #expect(!page.contains("nan") && !page.contains("inf"))
      }
    }
  }

  @Test("a value that is not finite leaves a gap in the line")
  func gaps() {
    let points = [1, 2, .nan, 4, 5].enumerated().map { Chart.Point(x: Double($0), y: $1) }
    let path = page(chart(points)).firstMatch(of: #/ d="([^"]*)"/#)?.1 ?? ""
    #expect(path.count { $0 == "M" } == 2)
    #expect(path.count { $0 == "L" } == 2)
  }

  @Test("means of runs keep the mean of all")
  func averages() {
    let series = Chart.Series(
      "a", points: (0..<1000).map { .init(x: Double($0), y: Double($0 % 7)) })
    let short = series.averaged(to: 100)
    #expect(short.points.count == 100)
    #expect(abs(short.points.reduce(0) { $0 + $1.x } / 100 - 499.5) < 1e-9)
    #expect(series.averaged(to: 2000).points.count == 1000)
  }

  @Test("a legend appears where there are several series")
  func legend() {
    #expect(!page(chart([])).contains("class=\"legend\""))
    var two = chart([])
    two.series.append(.init("b", points: []))
    #expect(page(two).contains("class=\"legend\""))
  }

  @Test(
    "a long curve is smoothed in front of its values, in one colour; a short one is left as it is")
  func smoothing() {
    func series(_ count: Int) -> Chart.Series {
      .init("loss", points: (0..<count).map { .init(x: Double($0), y: Double($0 % 7)) })
    }
    let short = series(20).smoothed(colour: 3)
    #expect(short.count == 1 && short[0].points.count == 20 && short[0].colour == 3)
    #expect(series(20).smoothed(colour: 3)[0].style == .line)
    // A line of one point would not be seen.
    #expect(series(1).smoothed(colour: 3)[0].style == .points)
    var unnamed = series(900)
    unnamed.name = ""
    #expect(unnamed.smoothed(colour: 0).map(\.name) == ["measured", "mean of 15"])
    let long = series(900).smoothed(colour: 3)
    #expect(long.map(\.points.count) == [900, 60])
    #expect(long.map(\.name) == ["loss", "loss, mean of 15"])
    #expect(long.allSatisfy { $0.colour == 3 } && long[0].style == .faintLine)
    #expect(series(100_000).smoothed(colour: 0).map(\.points.count) == [1_500, 60])
    var two = chart([])
    two.series = long
    #expect(page(two).contains("stroke-3 faint") && page(two).contains("stroke-3 line"))
  }
}
