import type { Carrier } from './carrier.ts';

export const riskCategories = ['Authority', 'Insurance', 'Safety', 'Operation', 'Other'] as const;

export type RiskCategory = (typeof riskCategories)[number];

interface Rule {
  category: RiskCategory;
  points: number;
  text: string;
  output: (carrier: Carrier) => string | null;
  /** Rules without it are broken because the carrier's facts say so. */
  follows?: (carrier: Carrier) => boolean;
}

/** Names, words and points are made up; how points add up to a level is the portal's. */
const rules: Readonly<Record<string, Rule>> = {
  AuthorityInactive: {
    category: 'Authority',
    points: 1000,
    text: 'Common or contract authority is not active',
    output: () => null,
    follows: ({ authority, docketNumber }) => authority === 'Inactive' && docketNumber !== null,
  },
  AuthorityRecentlyGranted: {
    category: 'Authority',
    points: 125,
    text: 'Authority was granted less than a year ago',
    output: ({ grantedOn }) => `Authority granted ${grantedOn}`,
  },
  InsuranceCancelled: {
    category: 'Insurance',
    points: 1000,
    text: 'Liability insurance is cancelled',
    output: ({ insurance }) => `Cancelled ${insurance.cancelledOn}`,
    follows: ({ insurance }) => insurance.cancelledOn !== null,
  },
  CargoLimitLow: {
    category: 'Insurance',
    points: 250,
    text: 'Cargo insurance is below $100,000',
    output: ({ insurance }) => `Cargo limit is $${insurance.cargoLimit.toLocaleString('en-US')}`,
    follows: ({ insurance }) => insurance.cargoLimit < 100_000,
  },
  OutOfService: {
    category: 'Safety',
    points: 1000,
    text: 'Carrier is out of service',
    output: () => null,
    follows: ({ outOfService }) => outOfService,
  },
  RatingConditional: {
    category: 'Safety',
    points: 250,
    text: 'Safety rating is conditional',
    output: ({ safetyRating }) => `Safety rating is ${safetyRating}`,
    follows: ({ safetyRating }) => safetyRating === 'Conditional',
  },
  UnsafeDriving: {
    category: 'Safety',
    points: 125,
    text: 'Unsafe driving is above the threshold',
    output: () => 'Unsafe driving is at 78 percent',
  },
  NoRecentInspections: {
    category: 'Operation',
    points: 50,
    text: 'No inspection within 24 months',
    output: () => null,
  },
  SharedContactDetails: {
    category: 'Other',
    points: 250,
    text: 'Phone or email is used by another carrier',
    output: ({ phone }) => `${phone} is used by another carrier`,
  },
  BlockedByOthers: {
    category: 'Other',
    points: 1000,
    text: 'Carrier is blocked by three or more companies',
    output: () => 'Blocked by 5 companies',
  },
};

export const ruleNames: readonly string[] = Object.keys(rules);

/** 0 to 124, to 249, to 999, and above. */
export function riskLevel(points: number): string {
  return points < 125 ? 'Low' : points < 250 ? 'Medium' : points < 1000 ? 'Review Required' : 'Fail';
}

export function riskPoints(carrier: Carrier, category?: RiskCategory): number {
  return broken(carrier)
    .filter(([, rule]) => category === undefined || rule.category === category)
    .reduce((sum, [, { points }]) => sum + points, 0);
}

/** `RiskAssessment`: the levels alone. */
export function riskAssessment(carrier: Carrier): object {
  const levels = riskCategories.map(
    (category) => [category, riskLevel(riskPoints(carrier, category))] as const,
  );
  return { Overall: riskLevel(riskPoints(carrier)), ...Object.fromEntries(levels) };
}

/** `RiskAssessmentDetails`: with points and the rules that were broken. */
export function riskAssessmentDetails(carrier: Carrier): object {
  const parts = riskCategories.map((category) => {
    const points = riskPoints(carrier, category);
    const Infractions = broken(carrier)
      .filter(([, rule]) => rule.category === category)
      .map(([RuleName, rule]) => ({
        Points: rule.points,
        RuleName,
        RiskLevel: riskLevel(rule.points),
        RuleText: rule.text,
        RuleOutput: rule.output(carrier),
        PreReviewScore: null,
        PreReviewRiskLevel: null,
        RuleEnforced: true,
      }));
    const part = {
      TotalPoints: points,
      OverallRating: riskLevel(points),
      HasRuleOverride: false,
      Infractions,
    };
    return [category, part] as const;
  });
  return {
    IsIntrastateCarrier: carrier.docketNumber === null,
    TotalPoints: riskPoints(carrier),
    OverallRating: riskLevel(riskPoints(carrier)),
    ...Object.fromEntries(parts),
    ReviewState: null,
    ReviewDetails: null,
  };
}

function broken(carrier: Carrier): [string, Rule][] {
  return Object.entries(rules).filter(
    ([name, { follows }]) => follows?.(carrier) ?? carrier.infractions.includes(name),
  );
}
