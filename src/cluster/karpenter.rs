//! Karpenter's objects: NodePools and NodeClaims (karpenter.sh/v1), and the node classes of its AWS and KWOK
//! providers. All their fields are in their documents, which the simulated Karpenter reads and writes.

use super::meta::ObjectMeta;
use super::object::written_object;

written_object!(NodePool, NodePoolSpec);
written_object!(NodeClaim, NodeClaimSpec);
written_object!(EC2NodeClass, EC2NodeClassSpec);
written_object!(KWOKNodeClass, KWOKNodeClassSpec);
